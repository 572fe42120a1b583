"""Conditions of IAM's bindings, in the few forms that people write most.

What belongs here: one function. A condition in any other form does not hold: it grants nothing rather than too much.
"""

import re
from datetime import datetime

_NAME_IS = re.compile(r'resource\.name == "([^"]*)"')
_NAME_STARTS = re.compile(r'resource\.name\.startsWith\("([^"]*)"\)')
_TIME = re.compile(r'request\.time (<=|<|>=|>) timestamp\("([^"]*)"\)')


def holds(expression: str, resource: str, now: datetime) -> bool:
    """Whether a condition grants on `resource` (a full name) at `now`: terms joined with &&, each of which must hold."""
    return all(_term_holds(term.strip(), resource, now) for term in expression.split("&&"))


def _term_holds(term: str, resource: str, now: datetime) -> bool:
    if found := _NAME_IS.fullmatch(term):
        return resource == found[1]
    if found := _NAME_STARTS.fullmatch(term):
        return resource.startswith(found[1])
    if found := _TIME.fullmatch(term):
        return _is_so(now, found[1], found[2])
    return False


def _is_so(now: datetime, comparison: str, text: str) -> bool:
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        return False
    if instant.tzinfo is None:
        return False
    return {"<": now < instant, "<=": now <= instant, ">": now > instant, ">=": now >= instant}[comparison]
