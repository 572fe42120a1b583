"""Results of probes, and requests that were counted, for tests that are about something else."""

from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from convergence_orchestration.health.model import ProbeName, ProbeResult, ProbeStatus
from convergence_orchestration.local_gcp.front_door.measurements import (
    Measurements,
    Position,
    Request,
    Source,
)

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


def result(
    status: ProbeStatus = ProbeStatus.HEALTHY,
    at: datetime = NOW,
    probe: ProbeName = ProbeName.API_LIVE,
    target: str = "https://api.example",
    **fields: object,
) -> ProbeResult:
    """What a probe found in development."""
    known: dict[str, object] = {"environment": "development", **fields}
    return ProbeResult(probe=probe, target=target, status=status, at=at, **known)  # type: ignore[arg-type]


def count_requests(
    directory: Path,
    answers: list[tuple[float, float, int]],
    until: datetime,
    revision: str = "api-1",
    service: str = "api",
    project: str = "platform",
) -> None:
    """Requests as the front door counts them: so many seconds before `until`, milliseconds, status."""
    requests = [
        Request(Source(project, "us-central1", service, revision, code), until.timestamp() - ago, taken)
        for ago, taken, code in answers
    ]
    with closing(Measurements(directory / "front_door.sqlite3")) as measurements:
        measurements.add(requests, Position(1, 0, until.timestamp()))
