"""Who has which role where, and what the review says about it.

What belongs here: types without I/O.
"""

from dataclasses import dataclass
from enum import StrEnum


class Place(StrEnum):
    """What roles are looked at on."""

    PROJECT = "project"
    KEY = "key"
    SECRET = "secret"  # noqa: S105 what is looked at
    DATASET = "dataset"
    SERVICE = "service"


class Verdict(StrEnum):
    """What a line says; the first three need somebody's eye."""

    UNEXPECTED = "unexpected"
    MISSING = "missing"
    UNKNOWN = "unknown"
    DECLARED = "declared"
    TOLERATED = "tolerated"

    @property
    def is_difference(self) -> bool:
        """Something is not as declared."""
        return self in {Verdict.UNEXPECTED, Verdict.MISSING}


@dataclass(frozen=True, order=True)
class Grant:
    """One member's role on one resource; with a condition it is another grant than without."""

    place: Place
    role: str
    member: str
    condition: str = ""


@dataclass(frozen=True)
class Looked:
    """What was found on one resource.

    Attributes:
        grants: None: nobody may look, for `why`.
    """

    place: Place
    resource: str
    grants: frozenset[Grant] | None
    why: str = ""


@dataclass(frozen=True)
class Line:
    """One line of the review.

    Attributes:
        cure: the command that makes it as declared; empty where there is none.
    """

    subject: str
    role: str
    member: str
    verdict: Verdict
    note: str = ""
    cure: str = ""


@dataclass(frozen=True)
class Review:
    """Everything that one review found.

    Attributes:
        digest: of all lines, by which a signature says what was signed.
    """

    environment: str
    lines: tuple[Line, ...]
    digest: str

    def count(self, *verdicts: Verdict) -> int:
        """How many lines say one of these."""
        return sum(line.verdict in verdicts for line in self.lines)
