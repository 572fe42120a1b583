"""Results of probes, for tests that are about something else."""

from datetime import UTC, datetime

from convergence_orchestration.health.model import ProbeName, ProbeResult, ProbeStatus

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
