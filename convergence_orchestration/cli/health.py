"""`convergence health` and `convergence slo`: what the probes found last, and the levels of service.

What belongs here: commands that look. The probes run in Dagster; `convergence status` asks the local services themselves.
"""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from convergence_orchestration.cli.options import DEFAULT_DATA_DIR, AsJson, DataDir
from convergence_orchestration.cli.platforms import GoogleCloud, bigquery_of, settings_at
from convergence_orchestration.cli.reporting import ExitStatus, tell
from convergence_orchestration.cli.showing import duration, print_json, print_table
from convergence_orchestration.health.model import ProbeResult, ProbeStatus, ServiceLevels, Window

if TYPE_CHECKING:
    from datetime import datetime

    from convergence_orchestration.settings import Settings

_Environment = Annotated[
    str,
    typer.Option(
        "--environment", help="development, staging or production; left out: all, or ENVIRONMENT's."
    ),
]
_COLUMNS = ("environment", "probe", "target", "status", "ms", "age", "what was found")


def health(
    *,
    environment: _Environment = "",
    minutes: Annotated[int, typer.Option(min=1, help="What was looked at so long ago or later.")] = 15,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    google_cloud: GoogleCloud = False,
    as_json: AsJson = False,
) -> None:
    """Show what the probes found last: exit status 0 if all is healthy, 1 if something is not or nobody looked."""
    from datetime import UTC, datetime, timedelta  # noqa: PLC0415 not for --help

    now = datetime.now(UTC)
    settings = settings_at(data_dir, google_cloud=google_cloud)
    found = _latest(settings, now - timedelta(minutes=minutes), environment)
    if as_json:
        print_json([_facts(one) for one in found])
    elif found:
        print_table(
            _COLUMNS,
            [_row(one, (now - one.at).total_seconds()) for one in found],
            unbroken=("probe", "status"),
        )
    else:
        tell(
            f"Nobody looked for {minutes} min: launch the job `health_check`, and look whether Dagster's daemon runs."
        )
    if not found or any(one.status is not ProbeStatus.HEALTHY for one in found):
        raise typer.Exit(ExitStatus.FAILED)


def slo(
    *,
    window: Annotated[Window, typer.Option(help="How long it is.")] = Window.HOUR,
    environment: _Environment = "",
    data_dir: DataDir = DEFAULT_DATA_DIR,
    google_cloud: GoogleCloud = False,
    as_json: AsJson = False,
) -> None:
    """Show the levels of service up to now beside what is promised: exit status 1 if a promise is not kept."""
    from datetime import UTC, datetime  # noqa: PLC0415 not for --help

    from convergence_orchestration.health.levels.opening import opened_levels  # noqa: PLC0415
    from convergence_orchestration.health.levels.shown import COLUMNS, is_missed, row_of  # noqa: PLC0415
    from convergence_orchestration.releases.specification import specification_of  # noqa: PLC0415

    settings = settings_at(data_dir, google_cloud=google_cloud, environment=environment)
    with opened_levels(settings, specification_of(settings.environment).service) as reader:
        found, promised = reader.read(window, datetime.now(UTC)), reader.objectives
    if as_json:
        print_json([_facts(one) for one in found])
    else:
        print_table(COLUMNS, [list(row_of(one, promised).values()) for one in found], unbroken=("revision",))
        for words in sorted({one.why_unknown for one in found if one.why_unknown}):
            tell(words)
    if any(is_missed(one, promised) for one in found):
        raise typer.Exit(ExitStatus.FAILED)


def _latest(settings: "Settings", since: "datetime", environment: str) -> list[ProbeResult]:
    from convergence_orchestration.health.store import HealthChecks  # noqa: PLC0415 not for --help

    with bigquery_of(settings) as bigquery:
        return HealthChecks(bigquery).latest(since, environment)


def _row(result: ProbeResult, age_seconds: float) -> list[object]:
    return [
        result.environment,
        result.probe.value,
        result.target,
        result.status.value,
        None if result.latency_ms is None else f"{result.latency_ms:.0f}",
        duration(max(0.0, age_seconds)),
        " ".join(filter(None, (result.message, _measured(result)))),
    ]


def _measured(result: ProbeResult) -> str:
    return ", ".join(f"{name} {value:g}" for name, value in result.measured.items())


def _facts(found: ProbeResult | ServiceLevels) -> dict[str, object]:
    """The same for programs: times as ISO 8601, unknown as null."""
    return {name: _plain(value) for name, value in asdict(found).items()}


def _plain(value: object) -> object:
    return value.isoformat() if hasattr(value, "isoformat") else value
