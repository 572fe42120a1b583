"""The progress of a start: a live table on a terminal, a line for each event elsewhere.

What belongs here: showing it, and the closing words with the addresses.
"""

import shlex
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from convergence_orchestration.cli.options import flag_for
from convergence_orchestration.local_platform.environment import environment_of
from convergence_orchestration.local_platform.model import (
    AdminKeySource,
    PlatformRecord,
    ServiceName,
    ServiceRecord,
    ServiceState,
)
from convergence_orchestration.local_platform.services import Addresses
from convergence_orchestration.settings import Environment

TITLES = {
    ServiceName.LOCAL_GCP: "local Google Cloud",
    ServiceName.NODE: "Cloud Run's node",
    ServiceName.FRONT_DOOR: "Cloud Run's front door",
    ServiceName.BIGQUERY: "BigQuery",
    ServiceName.CODE_SERVER: "Dagster code server",
    ServiceName.WEBSERVER: "Dagster web server",
    ServiceName.DAEMON: "Dagster daemon",
    ServiceName.ADMIN_KEY: "administrators' key",
    ServiceName.API: "API",
}
_GOOD = {ServiceState.HEALTHY: "healthy", ServiceState.DONE: "there"}
_COLOURS = {
    ServiceState.HEALTHY: "green",
    ServiceState.DONE: "green",
    ServiceState.RESTARTING: "yellow",
    ServiceState.FAILED: "red",
}
_REFRESHES_A_SECOND = 8


class Display(Protocol):
    """Shows a record each time it is called with one."""

    def __call__(self, platform: PlatformRecord) -> None:
        """Show it."""


@contextmanager
def shown(console: Console) -> Iterator[Display]:
    """A display for the time of a start."""
    if not console.is_terminal:
        yield Lines(console)
        return
    table = LiveTable()
    with Live(table, console=console, refresh_per_second=_REFRESHES_A_SECOND):
        yield table


class Lines:
    """One line when a service has become healthy, has died or has failed."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._said: dict[ServiceName, ServiceRecord] = {}

    def __call__(self, platform: PlatformRecord) -> None:
        """Say what is new."""
        for name, service in platform.services.items():
            said = self._said.get(name)
            is_news = said is None or (said.state, said.restarts) != (service.state, service.restarts)
            if is_news and (line := _line(name, service)):
                self._console.print(line, soft_wrap=True)
            self._said[name] = service


class LiveTable:
    """All services with their states, drawn again and again."""

    def __init__(self) -> None:
        self._platform: PlatformRecord | None = None
        self._started = time.monotonic()
        self._spinner = Spinner("dots")

    def __call__(self, platform: PlatformRecord) -> None:
        """Keep it for the next drawing."""
        self._platform = platform

    def __rich__(self) -> Table:
        table = Table.grid(padding=(0, 2))
        services = self._platform.services if self._platform else {}
        for name, service in services.items():
            is_good = service.state in _GOOD
            mark = Text("✓", style="green") if is_good else self._spinner
            words = Text(_words(service), style=_COLOURS.get(service.state, "dim"))
            table.add_row(mark, TITLES[name], words)
        table.add_row("", "", Text(f"{time.monotonic() - self._started:.1f} s", style="dim"))
        return table


def closing_words(platform: PlatformRecord, data_dir: Path, seconds: float) -> str:
    """Which environment it is, where everything is and what to do next."""
    addresses = Addresses.of(platform)
    trust = f" --cacert {shlex.quote(addresses.authority_file)}" if addresses.authority_file else ""
    flag = flag_for(data_dir)
    if platform.admin_key_source is AdminKeySource.ENVIRONMENT:
        key = "# the administrators' key is the one in ADMIN_API_KEY"
    else:
        key = f'export ADMIN_API_KEY="$(convergence admin-key{flag})"'
    return f"""\
The {environment_of(platform)} platform is up after {seconds:.1f} s: API {addresses.api}, Dagster {addresses.webserver}

{address_lines(platform)}

Next:
  {key}
  curl{trust} -X POST {addresses.api}/api/v1/admin/bootstrap -H "X-Admin-Key: $ADMIN_API_KEY"
  convergence tenant create acmecorp{flag}
  convergence key issue acmecorp{flag}
  convergence logs api --follow{flag}
Or look at {addresses.webserver} and launch the job bootstrap there."""


def address_lines(platform: PlatformRecord) -> str:
    """The addresses, a line for each."""
    addresses = Addresses.of(platform)
    has_docs = environment_of(platform) is not Environment.PRODUCTION
    lines = {
        "API": addresses.api + (f" (calls: {addresses.api}/docs)" if has_docs else ""),
        "its certificate": f"trust {addresses.authority_file}" if addresses.authority_file else "",
        "Dagster": addresses.webserver,
        "BigQuery": addresses.bigquery,
        "Google Cloud": f"{addresses.local_gcp_grpc} (gRPC), {addresses.local_gcp_rest} (REST)",
    }
    return "\n".join(f"  {name:<20} {text}" for name, text in lines.items() if text)


def _line(name: ServiceName, service: ServiceRecord) -> str:
    if service.state in {ServiceState.WAITING, ServiceState.STARTING, ServiceState.STOPPED}:
        return ""
    return f"{TITLES[name]}: {_words(service)}"


def _words(service: ServiceRecord) -> str:
    if service.state in _GOOD:
        return f"{_GOOD[service.state]} after {service.seconds or 0:.1f} s"
    if service.state is ServiceState.RESTARTING:
        return f"died ({service.detail}) and is started again"
    if service.state is ServiceState.FAILED:
        return f"failed: {service.detail}"
    return str(service.state)
