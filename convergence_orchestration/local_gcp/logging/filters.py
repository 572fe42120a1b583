"""The query language of Cloud Logging, as far as it is served: comparisons of known fields with AND, OR, NOT and parentheses.

What belongs here: its grammar, and whether an entry fits. What the real service could do besides is refused as not served;
what is no filter is refused in its words.
"""

import operator
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Final, NoReturn

from google.logging.type.log_severity_pb2 import LogSeverity

from convergence_orchestration.local_gcp.logging.entries import Entry
from convergence_orchestration.local_gcp.refusals import invalid, not_served

type Test = Callable[[Entry], bool]

_TOKEN = re.compile(
    r'\s*(?:(?P<text>"(?:[^"\\]|\\.)*")|(?P<sign><=|>=|!=|=~|!~|=|<|>|:|\(|\))|(?P<word>[^\s"=!<>~:()]+))',
    re.DOTALL,
)
_COMPARE: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_NOT_SERVED = frozenset({"=~", "!~", ":"})
_WORDS = frozenset({"AND", "OR", "NOT"})
_LABELS = "resource.labels."
_PAYLOAD = "jsonPayload."
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t"}


@dataclass(frozen=True)
class Filter:
    """A filter that was understood.

    Attributes:
        since: no entry before this time fits, as far as that is plain to see; None: not said.
    """

    fits: Test
    since: datetime | None


def parse(text: str) -> Filter:
    """The filter of this text; an empty one fits every entry.

    Raises:
        Refusal: INVALID_ARGUMENT, it is none; UNIMPLEMENTED, it uses what is not served here.
    """
    reading = _Reading(text)
    if reading.next is None:
        return Filter(lambda _: True, None)
    test = reading.disjunction()
    if reading.next is not None:
        reading.refuse()
    return Filter(test, reading.since)


class _Reading:
    """One reading of a filter, a token ahead; conditions side by side are joined by AND as well."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = self._split()
        self.next: str | None = next(self._tokens, None)
        self._depth = 0
        self._is_simple = True
        self._since: datetime | None = None

    @property
    def since(self) -> datetime | None:
        """The latest bound that holds for the whole filter."""
        return self._since if self._is_simple else None

    def disjunction(self) -> Test:
        """Conjunctions joined by OR."""
        tests = [self._conjunction()]
        while self.next == "OR":
            self._take()
            self._is_simple &= self._depth > 0
            tests.append(self._conjunction())
        return tests[0] if len(tests) == 1 else lambda entry: any(test(entry) for test in tests)

    def refuse(self) -> NoReturn:
        """Say where it cannot be read."""
        invalid(f"Unparseable filter: syntax error near {self.next or 'the end'}: {self._text}")

    def _conjunction(self) -> Test:
        tests = [self._term()]
        while self.next is not None and self.next not in {"OR", ")"}:
            if self.next == "AND":
                self._take()
            tests.append(self._term())
        return lambda entry: all(test(entry) for test in tests)

    def _term(self) -> Test:
        if self.next == "NOT":
            self._take()
            self._depth += 1
            test = self._term()
            self._depth -= 1
            return lambda entry: not test(entry)
        if self.next == "(":
            return self._group()
        return self._comparison()

    def _group(self) -> Test:
        self._take()
        self._depth += 1
        test = self.disjunction()
        self._depth -= 1
        if self.next != ")":
            self.refuse()
        self._take()
        return test

    def _comparison(self) -> Test:
        field = _plain(self._operand())
        sign = self.next
        if sign in _NOT_SERVED:
            not_served(f"A log filter with {sign}")
        if sign not in _COMPARE:
            not_served("A log filter that searches all fields") if sign != ")" else self.refuse()
        self._take()
        if self.next == "(":
            not_served("A log filter that compares with several values at once")
        value = _plain(self._operand())
        if field == "timestamp":
            return self._timestamp(str(sign), value)
        if field == "severity":
            return _severity(str(sign), value)
        return partial(_compare, _reader(field), str(sign), value)

    def _timestamp(self, sign: str, value: str) -> Test:
        try:
            at = datetime.fromisoformat(value)
        except ValueError:
            self.refuse()
        if at.tzinfo is None:
            invalid(f"Unparseable filter: the timestamp {value} names no zone.")
        if sign in {">", ">="} and self._depth == 0:
            self._since = max(at, self._since) if self._since else at
        return lambda entry: _COMPARE[sign](entry.timestamp, at)

    def _operand(self) -> str:
        token = self._take()
        if token in _WORDS or token in _COMPARE or token in _NOT_SERVED or token in {"(", ")"}:
            self.next = token
            self.refuse()
        return token

    def _take(self) -> str:
        token = self.next
        if token is None:
            self.refuse()
        self.next = next(self._tokens, None)
        return token

    def _split(self) -> Iterator[str]:
        position, length = 0, len(self._text.rstrip())
        while position < length:
            found = _TOKEN.match(self._text, position)
            if found is None:
                invalid(f"Unparseable filter: a quote is not closed: {self._text}")
            yield found["text"] or found["sign"] or found["word"]
            position = found.end()


def _plain(token: str) -> str:
    """A token without its quotes."""
    if not token.startswith('"'):
        return token
    return re.sub(r"\\(.)", lambda found: _ESCAPES.get(found[1], found[1]), token[1:-1], flags=re.DOTALL)


def _severity(sign: str, value: str) -> Test:
    if value not in LogSeverity.keys():  # noqa: SIM118 protobuf's enum is no mapping
        invalid(f"Unparseable filter: {value} is no severity.")
    wanted = LogSeverity.Value(value)
    return lambda entry: _COMPARE[sign](LogSeverity.Value(entry.severity), wanted)


def _reader(field: str) -> Callable[[Entry], object]:
    """What a field holds in an entry; None where it has no such field."""
    simple: Mapping[str, Callable[[Entry], object]] = {
        "resource.type": lambda entry: entry.resource_type,
        "insertId": lambda entry: entry.insert_id,
        "textPayload": lambda entry: entry.text,
    }
    if field in simple:
        return simple[field]
    if field.startswith(_LABELS):
        return lambda entry: entry.labels.get(field.removeprefix(_LABELS))
    if field.startswith(_PAYLOAD) and "." not in field.removeprefix(_PAYLOAD):
        return lambda entry: entry.fields.get(field.removeprefix(_PAYLOAD))
    return not_served(f"A log filter on {field}")


def _compare(read: Callable[[Entry], object], sign: str, value: str, entry: Entry) -> bool:
    """Strings are compared without regard to case, numbers as numbers; a field that is not there fits nothing."""
    found = read(entry)
    if found is None:
        return False
    if isinstance(found, bool):
        return _COMPARE[sign](str(found).lower(), value.lower())
    if isinstance(found, int | float):
        try:
            return _COMPARE[sign](float(found), float(value))
        except ValueError:
            return False
    return _COMPARE[sign](str(found).lower(), value.lower())
