"""Monitoring filters: comparisons joined by AND.

What belongs here: their grammar, and whether labels match. Served are `=`, `!=`, `one_of` and `starts_with` on types and
labels; what the real service could do besides is refused as not served, what it refuses is refused in its words.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NoReturn

from convergence_orchestration.local_gcp.refusals import invalid, not_served

METRIC_TYPE = "metric.type"
_RESOURCE_TYPE = "resource.type"
_TOKEN = re.compile(
    r'\s*(?:(?P<text>"(?:[^"\\]|\\.)*")|(?P<sign>!=|=|\(|\)|,)|(?P<word>[^\s"=!(),]+))', re.DOTALL
)
_FUNCTIONS = ("one_of", "starts_with")
_ELSEWHERE = frozenset({"OR", "NOT", "(", "has_substring", "ends_with", "monitoring.regex.full_match"})


@dataclass(frozen=True)
class Condition:
    """One comparison: the field, how it compares, and what with."""

    field: str
    is_negated: bool
    is_prefix: bool
    values: tuple[str, ...]

    def matches(self, value: str) -> bool:
        """Whether a field with this value fits."""
        found = value.startswith(self.values) if self.is_prefix else value in self.values
        return found is not self.is_negated


@dataclass(frozen=True)
class Filter:
    """All conditions of one filter, and the filter itself for messages about it."""

    text: str
    conditions: tuple[Condition, ...]

    def metric_type(self) -> str:
        """The one metric that the filter asks for.

        Raises:
            Refusal: INVALID_ARGUMENT, it asks for none, or not for one.
        """
        found = [condition for condition in self.conditions if condition.field == METRIC_TYPE]
        if len(found) != 1 or found[0].is_negated or found[0].is_prefix or len(found[0].values) != 1:
            refuse_filter(self.text, "The query must specify a single metric type.")
        return found[0].values[0]

    def fields(self) -> set[str]:
        """The labels that are compared."""
        return {condition.field for condition in self.conditions} - {METRIC_TYPE, _RESOURCE_TYPE}

    def matches(self, labels: Mapping[str, str], metric_type: str, resource_type: str) -> bool:
        """Whether a series with these labels, which has all that are compared, fits."""
        known = {**labels, METRIC_TYPE: metric_type, _RESOURCE_TYPE: resource_type}
        return all(condition.matches(known[condition.field]) for condition in self.conditions)


def parse(text: str) -> Filter:
    """The filter of this text; an empty one has no condition.

    Raises:
        Refusal: INVALID_ARGUMENT, it is none; UNIMPLEMENTED, it uses what is not served here.
    """
    tokens = _Tokens(text)
    conditions: list[Condition] = []
    while tokens.next is not None:
        if conditions and tokens.next == "AND":
            tokens.take()
        conditions.append(_condition(tokens))
    return Filter(text, tuple(conditions))


def normal_field(field: str) -> str:
    """The field with `labels` where `label` was written: both are allowed."""
    return re.sub(r"^(metric|resource)\.label\.", r"\1.labels.", field)


def refuse_filter(text: str, reason: str) -> NoReturn:
    """Refuse a filter as the real service words it.

    Raises:
        Refusal: INVALID_ARGUMENT, always.
    """
    invalid(f'Field filter had an invalid value of "{text}": {reason}')


class _Tokens:
    """The tokens of a filter, one ahead."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._tokens = _tokens(text)
        self.next = next(self._tokens, None)

    def take(self, *expected: str) -> str:
        """The next token, which is one of those expected if any are."""
        token = self.next
        if token in _ELSEWHERE and token not in expected:
            not_served(f"A filter with {token}")
        if token is None or (expected and token not in expected):
            refuse_filter(self.text, f"Could not parse it near {token or 'its end'}.")
        self.next = next(self._tokens, None)
        return token

    def value(self) -> str:
        """The next token as a value, without its quotes."""
        token = self.take()
        if token in {"=", "!=", ")", ","}:
            refuse_filter(self.text, f"Could not parse it near {token}.")
        return re.sub(r"\\(.)", r"\1", token[1:-1]) if token.startswith('"') else token


def _tokens(text: str) -> Iterator[str]:
    position, length = 0, len(text.rstrip())
    while position < length:
        found = _TOKEN.match(text, position)
        if found is None:
            refuse_filter(text, "Could not parse it: a quote is not closed.")
        yield found["text"] or found["sign"] or found["word"]
        position = found.end()


def _condition(tokens: _Tokens) -> Condition:
    field = normal_field(tokens.value())
    is_negated = tokens.take("=", "!=") == "!="
    if tokens.next not in _FUNCTIONS:
        return Condition(field, is_negated, is_prefix=False, values=(tokens.value(),))
    function = tokens.take()
    return Condition(field, is_negated, function == "starts_with", tuple(_arguments(tokens)))


def _arguments(tokens: _Tokens) -> Iterator[str]:
    tokens.take("(")
    yield tokens.value()
    while tokens.take(",", ")") == ",":
        yield tokens.value()
