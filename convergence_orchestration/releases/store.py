"""The log of what happened to releases: `tenants.release_events`, of which rows are appended and never changed.

What belongs here: appending events and reading them back. What they mean is history.py (rollouts), checklist.py and
order.py (deployments).
"""

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from google.cloud.bigquery import Row, ScalarQueryParameter

from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.gcp.bigquery import BigQuery
from convergence_orchestration.releases.model import (
    EventKind,
    Percent,
    ReleaseEvent,
    ReleaseId,
    RevisionName,
    Verdict,
)
from convergence_orchestration.warehouse.model import CENTRAL_DATASET

_TABLE = "release_events"
_HERE = Path(__file__)
_OF_RELEASE = _HERE.with_name("release_events_of_release.sql").read_text(encoding="utf-8")
_OF_SERVICE = _HERE.with_name("release_events_of_service.sql").read_text(encoding="utf-8")
_OF_IMAGE = _HERE.with_name("release_events_of_image.sql").read_text(encoding="utf-8")
_THE_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


class ReleaseEvents:
    """The log over one BigQuery. Errors are those of `gcp.bigquery`; NOT_BOOTSTRAPPED before the bootstrap."""

    def __init__(self, bigquery: BigQuery) -> None:
        self.bigquery = bigquery

    def append(self, *events: ReleaseEvent) -> None:
        """Write down that `events` happened; the same event twice counts once, as it was written first."""
        try:
            self.bigquery.append(CENTRAL_DATASET, _TABLE, [row_of(event) for event in events])
        except PermanentError as error:
            raise _or_not_bootstrapped(error) from error

    def of_release(self, environment: str, service: str, release_id: ReleaseId) -> list[ReleaseEvent]:
        """Every event of the release, in order."""
        return self._read(
            _OF_RELEASE,
            ScalarQueryParameter("environment", "STRING", environment),
            ScalarQueryParameter("service", "STRING", service),
            ScalarQueryParameter("release_id", "STRING", release_id),
        )

    def of_service(
        self, environment: str, service: str, since: datetime = _THE_BEGINNING
    ) -> list[ReleaseEvent]:
        """Every event of the service's releases from `since` on, in order."""
        return self._read(
            _OF_SERVICE,
            ScalarQueryParameter("environment", "STRING", environment),
            ScalarQueryParameter("service", "STRING", service),
            ScalarQueryParameter("since", "TIMESTAMP", since),
        )

    def checks_of_image(self, image: str, since: datetime = _THE_BEGINNING) -> list[ReleaseEvent]:
        """What was checked of the image with this digest from `since` on, in any environment, in order."""
        digest = ScalarQueryParameter("digest", "STRING", image.rpartition("@")[2])
        return self._read(_OF_IMAGE, digest, ScalarQueryParameter("since", "TIMESTAMP", since))

    def _read(self, sql: str, *parameters: ScalarQueryParameter) -> list[ReleaseEvent]:
        try:
            rows = self.bigquery.query(sql, parameters)
        except PermanentError as error:
            raise _or_not_bootstrapped(error) from error
        return in_order(map(event_of, rows))


def in_order(events: Iterable[ReleaseEvent]) -> list[ReleaseEvent]:
    """Each event once, as it was written first, the oldest at the beginning."""
    once: dict[str, ReleaseEvent] = {}
    for event in sorted(events, key=lambda event: (event.recorded_at, event.event_id)):
        once.setdefault(event.event_id, event)
    return list(once.values())


def row_of(event: ReleaseEvent) -> dict[str, object]:
    """The event as a row."""
    row: dict[str, object | None] = {
        "event_id": event.event_id,
        "release_id": event.release_id,
        "environment": event.environment,
        "service": event.service,
        "kind": event.kind.value,
        "revision": event.revision,
        "stable_revision": event.stable_revision,
        "image": event.image,
        "traffic_percent": event.traffic_percent,
        "verdict": event.verdict.value if event.verdict is not None else None,
        "reason": event.reason or None,
        "evidence": json.dumps(event.evidence, default=dict) if event.evidence else None,
        "actor": event.actor or None,
        "run_id": event.run_id,
        "recorded_at": event.recorded_at,
    }
    return {name: value for name, value in row.items() if value is not None}


def event_of(row: Row) -> ReleaseEvent:
    """The event that a row says."""
    percent, verdict = row["traffic_percent"], row["verdict"]
    return ReleaseEvent(
        event_id=row["event_id"],
        release_id=ReleaseId(row["release_id"]),
        environment=row["environment"],
        service=row["service"],
        kind=EventKind(row["kind"]),
        recorded_at=row["recorded_at"],
        revision=RevisionName(row["revision"]) if row["revision"] else None,
        stable_revision=RevisionName(row["stable_revision"]) if row["stable_revision"] else None,
        image=row["image"],
        traffic_percent=None if percent is None else Percent(percent),
        verdict=Verdict(verdict) if verdict else None,
        reason=row["reason"] or "",
        evidence=json.loads(row["evidence"]) if row["evidence"] else {},
        actor=row["actor"] or "",
        run_id=row["run_id"],
    )


def _or_not_bootstrapped(error: PermanentError) -> PermanentError:
    if error.code is not ErrorCode.NOT_FOUND:
        return error
    words = "Bootstrap the platform first, with the job `bootstrap`: there is no log of releases yet."
    return PermanentError(ErrorCode.NOT_BOOTSTRAPPED, words)
