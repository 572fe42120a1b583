"""`convergence logs`: what the platform's processes wrote, of all of them or of one, by time.

What belongs here: the command. Where it asks is `log_places.py`; the filter is `gcp/log_filters.py`'s.
"""

import time
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from convergence_orchestration.cli.admin_keys import GoogleCloud
from convergence_orchestration.cli.options import DEFAULT_DATA_DIR, AsJson, DataDir
from convergence_orchestration.cli.reporting import tell
from convergence_orchestration.cli.tenant_keys import seconds_of

if TYPE_CHECKING:
    from convergence_orchestration.cli.log_places import LogPlace
    from convergence_orchestration.gcp.log_filters import Wanted
    from convergence_orchestration.gcp.logs import LogLine

_API = "api"


class _Severity(StrEnum):
    """What can be asked for; a level means itself and all above."""

    DEBUG = "DEBUG"
    INFO = "INFO"
    WARNING = "WARNING"
    ERROR = "ERROR"
    CRITICAL = "CRITICAL"


def logs(  # noqa: PLR0913 one for each option
    service: Annotated[
        str | None,
        typer.Argument(
            help="api, webserver, daemon, code_server, runs, launcher, bigquery, local_gcp, node, front_door, envoy, "
            "supervisor, or a revision of the API; all if left out."
        ),
    ] = None,
    *,
    severity: Annotated[
        _Severity | None, typer.Option(case_sensitive=False, help="This severity and those above it.")
    ] = None,
    tenant: Annotated[str | None, typer.Option(help="Lines about this tenant.")] = None,
    request: Annotated[str | None, typer.Option(help="Lines of this request, and of its runs.")] = None,
    run: Annotated[str | None, typer.Option(help="Lines of this Dagster run.")] = None,
    revision: Annotated[str | None, typer.Option(help="Lines of this revision of the API.")] = None,
    since: Annotated[str | None, typer.Option(help="So long back: 90s, 10m, 24h, 7d.")] = None,
    limit: Annotated[
        int, typer.Option("--limit", "--lines", "-n", min=0, help="The newest so many lines.")
    ] = 20,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on with what is added, until Ctrl-C.")
    ] = False,
    as_json: AsJson = False,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    google_cloud: GoogleCloud = False,
) -> None:
    """Show the newest log lines, also of a platform that has stopped."""
    from dataclasses import replace  # noqa: PLC0415 not for --help
    from datetime import UTC, datetime, timedelta  # noqa: PLC0415

    from convergence_orchestration.cli.log_places import opened  # noqa: PLC0415
    from convergence_orchestration.gcp.log_filters import Severity, filter_of  # noqa: PLC0415

    with opened(data_dir, google_cloud=google_cloud) as place:
        named = _named(service, place.api_service)
        wanted = replace(
            named,
            severity=Severity(severity) if severity else Severity.DEFAULT,
            tenant_id=tenant,
            request_id=request,
            run_id=run,
            revision=revision or named.revision,
            since=datetime.now(UTC) - timedelta(seconds=seconds_of(since)) if since else None,
        )
        found = place.logs.newest(filter_of(wanted), limit) if limit else []
        for line in found:
            _print(line, as_json=as_json)
        if follow:
            _follow(place, wanted, found, as_json=as_json)
        elif not found and limit:
            tell(f"No line fits.{place.hint}")


def _named(service: str | None, api_service: str) -> "Wanted":
    """Which lines the argument means."""
    from convergence_orchestration.gcp.log_filters import Wanted  # noqa: PLC0415 not for --help

    if service is None:
        return Wanted()
    if service == _API:
        return Wanted(process=_API, service=api_service)
    if service.startswith(f"{api_service}-"):
        return Wanted(service=api_service, revision=service)
    return Wanted(process=service)


def _follow(place: "LogPlace", wanted: "Wanted", shown: "list[LogLine]", *, as_json: bool) -> None:
    from datetime import UTC, datetime  # noqa: PLC0415 not for --help

    from convergence_orchestration.gcp.logs import LogFollower  # noqa: PLC0415

    follower = LogFollower(place.logs, wanted, shown, datetime.now(UTC))
    while True:
        time.sleep(place.look_seconds)
        for line in follower.new_lines():
            _print(line, as_json=as_json)


def _print(line: "LogLine", *, as_json: bool) -> None:
    from convergence_orchestration.cli.log_texts import json_of, text_of  # noqa: PLC0415 not for --help

    typer.echo(json_of(line) if as_json else text_of(line))
