"""The rules of alerts as they are declared in `rules.yaml`, checked when they are loaded.

What belongs here: the form of a rule and what it makes of a value. A file that is wrong in one word is refused whole, with the
rule and the field: a rule that is silently left out would look like health.
"""

import operator
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Final

import yaml
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, model_validator
from pydantic.dataclasses import dataclass

from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.health.alerting.model import PROBED, WINDOWED, Metric, Severity
from convergence_orchestration.health.model import ProbeName

RULES_FILE: Final = Path(__file__).with_name("rules.yaml")
LONGEST_REMINDER_SECONDS: Final = 7 * 86_400
"""An open alert is told again at least so often, so that the events of the last weeks show all that are open."""

_STRICT = ConfigDict(extra="forbid", validate_by_name=True, validate_by_alias=True)
_MOST_IN_A_ROW = 60


class Comparison(StrEnum):
    """How a value has to stand to the threshold for the rule to fire."""

    ABOVE = ">"
    AT_LEAST = ">="
    BELOW = "<"
    AT_MOST = "<="

    @property
    def grows_worse_upwards(self) -> bool:
        """Whether a larger value is worse."""
        return self in {Comparison.ABOVE, Comparison.AT_LEAST}


_HOLDS: Mapping[Comparison, Callable[[float, float], bool]] = MappingProxyType(
    {
        Comparison.ABOVE: operator.gt,
        Comparison.AT_LEAST: operator.ge,
        Comparison.BELOW: operator.lt,
        Comparison.AT_MOST: operator.le,
    }
)


class RuleWindow(StrEnum):
    """A window that a rule may look at: the guide's five minutes, and those of the burn rates."""

    FIVE_MINUTES = "5m"
    HALF_HOUR = "30m"
    HOUR = "1h"
    SIX_HOURS = "6h"
    THREE_DAYS = "3d"


@dataclass(frozen=True, config=_STRICT)
class Rule:
    """When an alert opens and resolves, how urgent it is, and what is said.

    Attributes:
        windows: the rule fires only if the metric breaches in each of them; for metrics that are measured over a window.
        probes: which probes it is about, all if none is named; for `probe_failures`.
        threshold: in the metric's unit.
        evaluations: so many in a row have to breach before the alert opens (`for` in the file).
        resolve_after: so many in a row have to be good before it resolves; doubled for each alert about the same subject that
            was resolved within the last hour, at most eightfold.
        minimum_requests: a value that rests on fewer is unknown.
        worse_by: an open alert is updated when the value is so many times as bad as what was told last.
        summary: what is wrong, in a sentence.
        done: what the system did about it by itself already.
    """

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{2,49}$")]
    metric: Metric
    comparison: Comparison
    threshold: float
    severity: Severity
    summary: Annotated[str, Field(min_length=10, max_length=300)]
    done: Annotated[str, Field(min_length=10, max_length=500)]
    windows: tuple[RuleWindow, ...] = ()
    probes: tuple[ProbeName, ...] = ()
    evaluations: Annotated[int, Field(alias="for", ge=1, le=_MOST_IN_A_ROW)] = 1
    resolve_after: Annotated[int, Field(ge=1, le=_MOST_IN_A_ROW)] = 2
    minimum_requests: Annotated[int, Field(ge=0)] = 0
    worse_by: Annotated[float, Field(gt=1)] = 2.0

    @model_validator(mode="after")
    def _fields_fit_the_metric(self) -> "Rule":
        if bool(self.windows) != (self.metric in WINDOWED):
            wanted = "name its windows" if self.metric in WINDOWED else "leave `windows` out"
            raise ValueError(
                f"{wanted}: {self.metric} is {'' if self.metric in WINDOWED else 'not '}measured over one"
            )
        if self.probes and self.metric not in PROBED:
            raise ValueError(f"leave `probes` out: {self.metric} is of no probe that could be chosen")
        if self.minimum_requests and self.metric not in WINDOWED:
            raise ValueError(f"leave `minimum_requests` out: {self.metric} does not rest on requests")
        return self

    @property
    def runbook(self) -> str:
        """The page that says what to do."""
        return f"docs/runbooks/{self.name}.md"

    def breaches(self, value: float) -> bool:
        """Whether the rule fires at this value."""
        return _HOLDS[self.comparison](value, self.threshold)

    def is_much_worse(self, value: float, told: float | None) -> bool:
        """Whether people who were told of `told` should hear of `value`."""
        if told is None:
            return True
        if self.comparison.grows_worse_upwards:
            return value > max(told * self.worse_by, told)
        return value < min(told / self.worse_by, told) if told > 0 else value < told * self.worse_by


@dataclass(frozen=True, config=_STRICT)
class RuleBook:
    """All rules, and after how many seconds an alert that is still open is told again, by severity."""

    reminder_seconds: Mapping[Severity, Annotated[float, Field(ge=60, le=LONGEST_REMINDER_SECONDS)]]
    rules: tuple[Rule, ...]

    @model_validator(mode="after")
    def _is_whole(self) -> "RuleBook":
        names = [rule.name for rule in self.rules]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"give each rule its own name: {', '.join(twice)} is there twice")
        missing = [severity for severity in Severity if severity not in self.reminder_seconds]
        if missing:
            raise ValueError(f"say in reminder_seconds when {', '.join(missing)} alerts are told again")
        return self

    def rule(self, name: str) -> Rule | None:
        """The rule of that name; None if there is none any more."""
        return next((rule for rule in self.rules if rule.name == name), None)


_BOOK: Final = TypeAdapter(RuleBook)


@cache
def rule_book() -> RuleBook:
    """The rules of this package.

    Raises:
        PermanentError: INVALID_SETTINGS, as `parse_rules`.
    """
    return parse_rules(RULES_FILE.read_text(encoding="utf-8"), RULES_FILE.name)


def parse_rules(text: str, where: str) -> RuleBook:
    """The rules that a file says; `where` names it in the error.

    Raises:
        PermanentError: INVALID_SETTINGS, with a sentence for each wrong field, which names its rule.
    """
    try:
        declared = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise _refused(where, [f"it is no YAML: {str(error).splitlines()[0]}"]) from None
    try:
        return _BOOK.validate_python(declared)
    except ValidationError as error:
        raise _refused(
            where, [_sentence(each["loc"], each["msg"], declared) for each in error.errors()]
        ) from None


def _refused(where: str, sentences: Sequence[str]) -> PermanentError:
    words = "\n".join(f"Mend {where}: {sentence}." for sentence in sentences)
    return PermanentError(ErrorCode.INVALID_SETTINGS, words)


def _sentence(place: tuple[int | str, ...], message: str, declared: Any) -> str:  # noqa: ANN401 whatever the file holds
    said = message.removeprefix("Value error, ")
    match place:
        case ("rules", int(number), *rest):
            words = f"rule {_name_of(declared['rules'][number], number)}"
            field = ".".join(map(str, rest))
            words = f"{words}, field {field}" if field else words
        case _:
            words = ".".join(map(str, place)) or "the whole of it"
    return f"{words}: {said[:1].lower()}{said[1:]}"


def _name_of(rule: object, number: int) -> str:
    name = rule.get("name") if isinstance(rule, Mapping) else None
    return str(name) if name else f"number {number + 1}"
