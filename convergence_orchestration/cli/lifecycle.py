"""`convergence up`, `down` and `status`.

What belongs here: what is said. What is done is `local_platform/`'s business, imported when a command wants it, because
`convergence --help` need not wait for it.
"""

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from convergence_orchestration.cli.options import (
    AsJson,
    BasePort,
    DataDirOfEnvironment,
    EnvironmentName,
    OfEnvironment,
    data_dir_of,
    directory_at,
    flag_for,
)
from convergence_orchestration.cli.reporting import ExitStatus, console, interrupted_by_signals, tell

if TYPE_CHECKING:
    from convergence_orchestration.local_platform.directory import DataDirectory
    from convergence_orchestration.local_platform.health import PlatformHealth
    from convergence_orchestration.local_platform.model import PlatformRecord
    from convergence_orchestration.local_platform.start import AlreadyRuns, Running


def up(
    *,
    environment: Annotated[
        EnvironmentName | None,
        typer.Option(
            "--environment",
            help="What to start.",
            show_default="ENVIRONMENT's, else as last time in the data directory, else development",
        ),
    ] = None,
    data_dir: DataDirOfEnvironment = None,
    base_port: BasePort = None,
    detach: Annotated[
        bool, typer.Option("--detach", "-d", help="Return when it is healthy and leave it running.")
    ] = False,
) -> None:
    """Start the platform on this machine; Ctrl-C or `convergence down` stops it.

    Staging and production are the same platform with their own settings: HTTPS alone, their own key ring, administrators'
    key and specification of the service, and a data directory of their own.

    Exit status 3 if one already runs in the data directory.
    """
    from convergence_orchestration.local_platform.choosing import settings_to_start  # noqa: PLC0415
    from convergence_orchestration.local_platform.start import AlreadyRuns, start  # noqa: PLC0415

    path = data_dir_of(data_dir, environment)
    settings = settings_to_start(directory_at(path), environment)
    interrupted_by_signals()
    began = time.monotonic()
    try:
        running = start(directory_at(path), settings, base_port)
    except AlreadyRuns as already:
        _tell_addresses(already)
        raise typer.Exit(ExitStatus.ALREADY_RUNS) from None
    if running.orphans_ended:
        tell(
            f"Ended {running.orphans_ended} processes of an earlier start, whose supervisor had been killed."
        )
    platform = _until_healthy(running)
    if detach:
        running.let_go()  # before anything is said: nobody may be listening
    _say_what_next(platform, path, time.monotonic() - began, detach=detach)
    if not detach:
        _until_the_end(running)


def down(*, environment: OfEnvironment = None, data_dir: DataDirOfEnvironment = None) -> None:
    """Stop the platform to its last process, also one whose supervisor was killed."""
    from convergence_orchestration.local_platform.stop import stop  # noqa: PLC0415

    directory = directory_at(data_dir_of(data_dir, environment))
    stopped = stop(directory)
    if not stopped.anything:
        typer.echo(f"Nothing runs in {directory.path}.")
        return
    if stopped.orphans:
        tell(f"Ended {stopped.orphans} processes that no supervisor looked after.")
    typer.echo(f"Stopped the platform in {directory.path}.")


def status(
    *, environment: OfEnvironment = None, data_dir: DataDirOfEnvironment = None, as_json: AsJson = False
) -> None:
    """Ask every service how it is: exit status 0 if all are healthy, 1 if not, 4 if nothing runs."""
    from convergence_orchestration.local_platform.health import look  # noqa: PLC0415

    directory = directory_at(data_dir_of(data_dir, environment))
    health = look(directory)
    if as_json:
        typer.echo(json.dumps(health.as_json(), indent=2))
    else:
        _print_health(health, directory)
    if health.is_down:
        raise typer.Exit(ExitStatus.NOTHING_RUNS)
    if not health.healthy:
        raise typer.Exit(ExitStatus.FAILED)


def _until_healthy(running: "Running") -> "PlatformRecord":
    from convergence_orchestration.cli.progress import shown  # noqa: PLC0415

    try:
        with shown(console()) as display:
            return running.wait_until_healthy(display)
    except KeyboardInterrupt:
        tell("Stopping what has been started ...")
        running.stop()
        raise typer.Exit(ExitStatus.INTERRUPTED) from None


def _until_the_end(running: "Running") -> None:
    from convergence_orchestration.local_platform.model import PlatformState  # noqa: PLC0415

    try:
        ended = running.wait_for_end()
    except KeyboardInterrupt:
        tell("Stopping the platform (Ctrl-C again kills what is slow) ...")
        ended = running.stop()
    if ended.state is PlatformState.STOPPED:
        typer.echo("Stopped.")
        return
    tell(ended.failure or "The platform's supervisor was killed; what it had started has been ended.")
    raise typer.Exit(ExitStatus.FAILED)


def _say_what_next(platform: "PlatformRecord", data_dir: Path, seconds: float, *, detach: bool) -> None:
    from convergence_orchestration.cli.progress import closing_words  # noqa: PLC0415

    typer.echo(closing_words(platform, data_dir, seconds))
    if detach:
        typer.echo(f"It runs in the background: convergence down{flag_for(data_dir)} stops it.")
    else:
        typer.echo("Ctrl-C stops it.")


def _tell_addresses(already: "AlreadyRuns") -> None:
    from convergence_orchestration.cli.progress import address_lines  # noqa: PLC0415

    tell(already.message)
    if already.platform:
        tell(address_lines(already.platform))


def _print_health(health: "PlatformHealth", directory: "DataDirectory") -> None:
    if health.is_down:
        from convergence_orchestration.local_platform.running import nothing_runs_in  # noqa: PLC0415

        tell(nothing_runs_in(directory))
        return
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table("service", "", "pid", "restarts", "detail", box=None, pad_edge=False)
    for name, service in health.services.items():
        word = Text("healthy", "green") if service.healthy else Text("not healthy", "red")
        table.add_row(name, word, str(service.pid or ""), str(service.restarts), Text(service.detail))
    for instance in health.instances:
        table.add_row(
            f"  {instance.revision}", instance.state, str(instance.pid), "", f"port {instance.port}"
        )
    table_console = console()
    table_console.print(table)
    table_console.print(
        f"\nAPI {health.api_url}  Dagster {health.dagster_url}  BigQuery {health.bigquery_url}  "
        f"Google Cloud {health.local_gcp_address}",
        soft_wrap=True,
    )
