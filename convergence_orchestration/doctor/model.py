"""What the doctor says, and about what.

What belongs here: types without I/O.
"""

from dataclasses import dataclass
from enum import StrEnum

from convergence_orchestration.settings import Settings


class Area(StrEnum):
    """What is looked at, in the order in which it is told: what comes first may be why the rest fails."""

    CONFIGURATION = "configuration"
    VERSIONS = "versions"
    DISK = "disk"
    REACHABILITY = "reachability"
    CLOCKS = "clocks"
    PERMISSIONS = "permissions"
    CALLS = "calls and quotas"


class State(StrEnum):
    """UNKNOWN: it could not be looked at; that is no problem found, and no health either."""

    OK = "ok"
    PROBLEM = "problem"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        cause: what was found, for a person.
        cure: the exact command that mends it; empty where nothing is to be mended, or no command can.
    """

    area: Area
    subject: str
    state: State
    cause: str
    cure: str = ""


@dataclass(frozen=True)
class Patient:
    """Who is examined.

    Attributes:
        options: what to add to `convergence ...` so that it meets the same platform, with a space before it.
    """

    settings: Settings
    options: str = ""

    def command(self, words: str) -> str:
        """`convergence WORDS` for this platform."""
        return f"convergence {words}{self.options}"


def has_problem(findings: "tuple[Finding, ...]") -> bool:
    """Whether anything has to be mended."""
    return any(finding.state is State.PROBLEM for finding in findings)
