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
    DEFAULT_DATA_DIR,
    AsJson,
    BasePort,
    DataDir,
    directory_at,
    flag_for,
)
from convergence_orchestration.cli.reporting import ExitStatus, console, interrupted_by_signals, tell

if TYPE_CHECKING:
    from convergence_orchestration.local_platform.health import PlatformHealth
    from convergence_orchestration.local_platform.model import PlatformRecord
    from convergence_orchestration.local_platform.start import AlreadyRuns, Running


def up(
    *,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    base_port: BasePort = None,
    detach: Annotated[
        bool, typer.Option("--detach", "-d", help="Return when it is healthy and leave it running.")
    ] = False,
) -> None:
    """Start the platform on this machine; Ctrl-C or `convergence down` stops it.

    Exit status 3 if one already runs in the data directory.
    """
    from convergence_orchestration.local_platform.start import AlreadyRuns, start  # noqa: PLC0415
    from convergence_orchestration.settings import load_settings  # noqa: PLC0415

    settings = load_settings()
    interrupted_by_signals()
    began = time.monotonic()
    try:
        running = start(directory_at(data_dir), settings, base_port)
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
    _say_what_next(platform, data_dir, time.monotonic() - began, detach=detach)
    if not detach:
        _until_the_end(running)


def down(*, data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """Stop the platform to its last process, also one whose supervisor was killed."""
    from convergence_orchestration.local_platform.stop import stop  # noqa: PLC0415

    directory = directory_at(data_dir)
    stopped = stop(directory)
    if not stopped.anything:
        typer.echo(f"Nothing runs in {directory.path}.")
        return
    if stopped.orphans:
        tell(f"Ended {stopped.orphans} processes that no supervisor looked after.")
    typer.echo(f"Stopped the platform in {directory.path}.")


def status(*, data_dir: DataDir = DEFAULT_DATA_DIR, as_json: AsJson = False) -> None:
    """Ask every service how it is: exit status 0 if all are healthy, 1 if not, 4 if nothing runs."""
    from convergence_orchestration.local_platform.health import look  # noqa: PLC0415

    health = look(directory_at(data_dir))
    if as_json:
        typer.echo(json.dumps(health.as_json(), indent=2))
    else:
        _print_health(health)
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
    from convergence_orchestration.local_platform.ports import Ports  # noqa: PLC0415
    from convergence_orchestration.local_platform.services import Addresses  # noqa: PLC0415

    tell(already.message)
    if already.platform:
        tell(address_lines(Addresses.of(Ports(already.platform.base_port), already.platform.api_host)))


def _print_health(health: "PlatformHealth") -> None:
    if health.is_down:
        tell(f"Nothing runs in {health.data_dir}: start it with convergence up.")
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
