"""What a release is about: a Cloud Run service as it really is, its revisions, and what happened to a release.

What belongs here: names, the service as it was read, the events, and the checks made once at the edge. No I/O, no
decision: those are in rollout.py and judge.py. Other domains may import this module of releases and no other.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import NewType

from convergence_orchestration.errors import ErrorCode, PermanentError

RevisionName = NewType("RevisionName", str)
ReleaseId = NewType("ReleaseId", str)
Percent = NewType("Percent", int)
"""A share of the traffic, 0 to 100."""

type Numbers = Mapping[str, object]
"""Evidence as JSON: numbers, words, and mappings of these."""

REVISION_NAME_PATTERN = r"^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$"
RELEASE_ID_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"
WHOLE = Percent(100)
NONE = Percent(0)
NO_NUMBERS: Numbers = MappingProxyType({})


class Verdict(StrEnum):
    """What the judge says. Only HEALTHY promotes and only UNHEALTHY rolls back."""

    HEALTHY = "HEALTHY"
    UNHEALTHY = "UNHEALTHY"
    INCONCLUSIVE = "INCONCLUSIVE"
    """Measured, but not enough to tell; or bad in a way for which the release is not to blame."""
    UNKNOWN = "UNKNOWN"
    """Not measured: a meter or a probe could not be read."""


class Condition(StrEnum):
    """A terminal condition of Cloud Run, for a service or for a revision."""

    PENDING = "PENDING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"


@dataclass(frozen=True)
class Revision:
    """A revision as Cloud Run has it.

    Attributes:
        ready: SUCCEEDED when it can serve, FAILED when it never will.
        why: Cloud Run's own words when it is not ready.
        image: by its digest.
        template: a fingerprint of everything that the revision was made from (image, environment, secrets by
            version, resources); two revisions with the same one are the same release. Empty: not known.
    """

    name: RevisionName
    ready: Condition
    created_at: datetime
    why: str = ""
    image: str = ""
    template: str = ""


@dataclass(frozen=True)
class TrafficTarget:
    """One line of a service's traffic: a revision's share, or (0 percent) a tag that leads to it.

    A target of type LATEST is written down with the revision that it stands for at the moment.
    """

    revision: RevisionName
    percent: Percent = NONE
    tag: str = ""
    uri: str = ""


def shares_of(targets: tuple[TrafficTarget, ...]) -> dict[RevisionName, Percent]:
    """Each revision that gets traffic with its share; lines for the same revision are added up."""
    shares: dict[RevisionName, Percent] = {}
    for target in targets:
        if target.percent:
            shares[target.revision] = Percent(shares.get(target.revision, 0) + target.percent)
    return shares


@dataclass(frozen=True)
class ServiceState:
    """A service as one call to Cloud Run showed it.

    Attributes:
        generation: counts the changes that were asked for.
        observed_generation: the one that Cloud Run has carried out.
        condition: the service's terminal condition; `why` has its message.
        asked: the traffic that was asked for last, whoever asked.
        serving: traffic_statuses; it may be anything while the service is reconciling.
        etag: to be sent with the next change, so that nobody's change is overwritten unseen.
        revisions: every one that is asked for, serving or tagged, and those that a release names.
    """

    name: str
    generation: int
    observed_generation: int
    reconciling: bool
    condition: Condition
    asked: tuple[TrafficTarget, ...]
    serving: tuple[TrafficTarget, ...]
    revisions: tuple[Revision, ...]
    etag: str = ""
    why: str = ""
    latest_created: RevisionName | None = None
    latest_ready: RevisionName | None = None

    @property
    def is_settled(self) -> bool:
        """Whether the last change was carried out; until then `serving` says little."""
        caught_up = self.observed_generation == self.generation and not self.reconciling
        return caught_up and self.condition is Condition.SUCCEEDED

    def serves(self, shares: Mapping[RevisionName, Percent]) -> bool:
        """Whether traffic is verified to be split in this way, and asked to stay so."""
        return self.is_settled and shares_of(self.serving) == shares and shares_of(self.asked) == shares

    def revision(self, name: RevisionName | None) -> Revision | None:
        """The revision of that name, if the service has it."""
        return next((revision for revision in self.revisions if revision.name == name), None)

    def is_ready(self, name: RevisionName | None) -> bool:
        """Whether the service has that revision and it can serve."""
        revision = self.revision(name)
        return revision is not None and revision.ready is Condition.SUCCEEDED


class EventKind(StrEnum):
    """What happened to a release: the `kind` of release_events.

    The first group is written by the release's job, the second by the rollout (before it acts, so that a crash in
    between is seen), the third by people.
    """

    STARTED = "STARTED"
    """Somebody wants this released."""
    CHECKED = "CHECKED"
    """One item of the check-list, met or not."""
    BUILT = "BUILT"
    """The image exists."""
    DEPLOYED = "DEPLOYED"
    """The revision is ready on its tag and has no traffic."""
    HANDED_OVER = "HANDED_OVER"
    """The tag passed the smoke suite. From here on the rollout decides; `revision` and `stable_revision` are set."""
    FAILED = "FAILED"
    """Ended before it was handed over; traffic was never touched."""

    TRAFFIC_ASKED = "TRAFFIC_ASKED"
    """`traffic_percent` for `revision` and the rest for `stable_revision` is about to be asked for."""
    STAGE_VERIFIED = "STAGE_VERIFIED"
    """Cloud Run serves what was asked. The clock of the stage starts at `recorded_at`."""
    HELD = "HELD"
    """Nothing is decided, for the reason given; written when the reason is a new one."""
    PAUSED = "PAUSED"
    """Waits for a person, without a deadline. By the rollout (with an alert) or by a person."""
    ROLLED_BACK = "ROLLED_BACK"
    """All traffic for `stable_revision` is about to be asked for. With verdict UNHEALTHY `revision` is bad from now on."""
    OUTSIDE_CHANGE = "OUTSIDE_CHANGE"
    """Somebody else moved the traffic: the rollout touches nothing until it is resumed or told to roll back."""
    FINISHED = "FINISHED"
    """It has all traffic and baked: it is the stable revision."""
    STOPPED = "STOPPED"
    """It is over and did not become the stable revision."""
    SUPERSEDED = "SUPERSEDED"
    """A newer release took over; for the report, the newer HANDED_OVER says so too."""
    DECIDED = "DECIDED"
    """A verdict with its evidence, for the report; changes nothing."""

    RESUMED = "RESUMED"
    PROMOTE_NOW = "PROMOTE_NOW"
    """To `traffic_percent`, or to the next stage, without waiting any longer."""
    ABORTED = "ABORTED"
    """Back to the stable revision, also after the release was finished."""
    RETRIED = "RETRIED"
    """From the first stage again; what made the revision bad is forgiven."""
    ROLL_BACK_ASKED = "ROLL_BACK_ASKED"
    """All traffic to `revision`; none named: to the stable one."""
    FROZEN = "FROZEN"
    """Nothing is promoted between the evidence's `from` and `until` (ISO 8601), in any release of the service."""
    UNFROZEN = "UNFROZEN"
    """Every freeze by hand is over."""
    OVERRIDDEN = "OVERRIDDEN"
    """An item of the check-list was waived, with a reason."""


ENDINGS = frozenset({EventKind.FINISHED, EventKind.STOPPED, EventKind.FAILED, EventKind.SUPERSEDED})
"""What ends a release."""


@dataclass(frozen=True)
class ReleaseEvent:
    """One row of release_events: see the table's catalogue for what each column means."""

    event_id: str
    release_id: ReleaseId
    environment: str
    service: str
    kind: EventKind
    recorded_at: datetime
    revision: RevisionName | None = None
    stable_revision: RevisionName | None = None
    image: str | None = None
    traffic_percent: Percent | None = None
    verdict: Verdict | None = None
    reason: str = ""
    evidence: Numbers = field(default_factory=dict)
    actor: str = ""
    run_id: str | None = None


def parse_revision_name(value: str, service: str) -> RevisionName:
    """The revision of `service` that `value` names.

    Raises:
        PermanentError: INVALID_ARGUMENT.
    """
    if not re.fullmatch(REVISION_NAME_PATTERN, value) or not value.startswith(f"{service}-"):
        raise PermanentError(
            ErrorCode.INVALID_ARGUMENT,
            f"Name a revision of {service}, for example {service}-00001-abc.",
            {"field": "revision", "service": service},
        )
    return RevisionName(value)


def parse_release_id(value: str) -> ReleaseId:
    """The release id that `value` is.

    Raises:
        PermanentError: INVALID_ARGUMENT.
    """
    if not re.fullmatch(RELEASE_ID_PATTERN, value):
        raise PermanentError(
            ErrorCode.INVALID_ARGUMENT,
            "Name a release by 1 to 100 letters, digits, dots, underscores and hyphens, for example v1.0.0.",
            {"field": "release_id", "pattern": RELEASE_ID_PATTERN},
        )
    return ReleaseId(value)


def parse_percent(value: int) -> Percent:
    """The share of the traffic that `value` is.

    Raises:
        PermanentError: INVALID_ARGUMENT.
    """
    if not NONE <= value <= WHOLE:
        raise PermanentError(
            ErrorCode.INVALID_ARGUMENT, f"Give a percentage from 0 to 100, not {value}.", {"field": "percent"}
        )
    return Percent(value)
