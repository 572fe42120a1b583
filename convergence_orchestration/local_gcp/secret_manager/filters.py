"""Filters of lists of secrets.

What belongs here: terms `name:TEXT` (the secret's id has it in it), `labels.KEY=VALUE` and `labels.KEY:*`, joined with AND.
Google's language has more; what is not understood is refused, never taken for "everything".
"""

import re
from collections.abc import Callable

from google.cloud.secretmanager_v1 import Secret

from convergence_orchestration.local_gcp.refusals import not_served

_NAME = re.compile(r'name:"?([a-zA-Z0-9_-]+)"?')
_LABEL = re.compile(r'labels\.([a-z0-9_-]+)="?([a-z0-9_-]+)"?')
_HAS_LABEL = re.compile(r"labels\.([a-z0-9_-]+):\*")


def filter_of(text: str) -> Callable[[Secret], bool]:
    """What a filter means.

    Raises:
        Refusal: UNIMPLEMENTED.
    """
    terms = [_term(term.strip()) for term in text.split(" AND ")]
    return lambda secret: all(holds(secret) for holds in terms)


def _term(text: str) -> Callable[[Secret], bool]:
    if found := _NAME.fullmatch(text):
        part = found[1]
        return lambda secret: part in secret.name.rpartition("/")[2]
    if found := _LABEL.fullmatch(text):
        key, value = found.groups()
        return lambda secret: secret.labels.get(key) == value
    found = _HAS_LABEL.fullmatch(text)
    if found is None:
        not_served(f"The filter [{text}]")
    label = found[1]
    return lambda secret: label in secret.labels
