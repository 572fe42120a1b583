"""What a suite is and what came of it: cases, outcomes, reports, and the platform under test.

What belongs here: frozen values and the word for an expectation that does not hold. No I/O.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from pydantic import SecretStr

from convergence_orchestration.errors import ErrorCode, PermanentError

CASES: Final = 10
"""The guide gives each suite so many."""


class ExpectationError(Exception):
    """What a case expected is not so; the message says what was found, and holds no key."""


class Outcome(StrEnum):
    """How a case ended; ERROR: it could not be found out, for example because nobody answered."""

    PASSED = "PASSED"
    FAILED = "FAILED"
    ERROR = "ERROR"


@dataclass(frozen=True)
class Target:
    """The API under test.

    Attributes:
        url: without a slash at its end.
        admin_key: None: there is none, which the suites that administrate do not take.
        authority_file: PEM of the authority that signed its certificate; None: those that this machine trusts.
    """

    url: str
    admin_key: SecretStr | None = None
    authority_file: str | None = None


@dataclass(frozen=True)
class Case[S]:
    """One test of a suite; `check` comes back if all is well, and raises ExpectationError if not."""

    number: int
    name: str
    check: Callable[[S], None]

    @property
    def slug(self) -> str:
        """The name as a word, for asset checks and JUnit: `create_tenant`."""
        return "_".join("".join(sign if sign.isalnum() else " " for sign in self.name.lower()).split())


@dataclass(frozen=True)
class CaseResult:
    """What came of one case; `seconds` that it took, `detail` why it did not pass."""

    number: int
    name: str
    slug: str
    outcome: Outcome
    seconds: float
    detail: str = ""


@dataclass(frozen=True)
class SuiteReport:
    """What came of a suite; `left_behind` names what could not be cleaned up."""

    suite: str
    url: str
    started_at: datetime
    results: tuple[CaseResult, ...]
    left_behind: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Every case passed."""
        return bool(self.results) and all(each.outcome is Outcome.PASSED for each in self.results)

    @property
    def failures(self) -> tuple[CaseResult, ...]:
        """The cases that did not pass."""
        return tuple(each for each in self.results if each.outcome is not Outcome.PASSED)


def expect(condition: object, otherwise: str) -> None:
    """Raise ExpectationError with this sentence unless the condition holds."""
    if not condition:
        raise ExpectationError(otherwise)


def parse_target(url: str, admin_key: SecretStr | None, authority_file: str | None) -> Target:
    """A target from what a person gave.

    Raises:
        PermanentError: INVALID_ARGUMENT if the address is none.
    """
    trimmed = url.strip().rstrip("/")
    scheme, _, host = trimmed.partition("://")
    if scheme not in {"http", "https"} or not host or any(sign.isspace() for sign in host):
        raise PermanentError(
            ErrorCode.INVALID_ARGUMENT,
            "Give the API's address as http://HOST or https://HOST.",
            {"field": "url"},
        )
    return Target(trimmed, admin_key, authority_file)
