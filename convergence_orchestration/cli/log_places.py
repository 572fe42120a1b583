"""Where `convergence logs` asks: always a Cloud Logging, Google's, the platform's, or its files served by this very process.

What belongs here: choosing. The last is for a platform that has stopped, or whose local cloud has.
"""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from convergence_orchestration.cli.options import directory_at
from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.gcp.clients import logging_client
from convergence_orchestration.gcp.logs import Logs
from convergence_orchestration.local_gcp.logging.serving import serving
from convergence_orchestration.local_gcp.logging.sources import Sources, name_of
from convergence_orchestration.local_platform import record
from convergence_orchestration.local_platform.directory import DataDirectory
from convergence_orchestration.local_platform.environment import platform_settings
from convergence_orchestration.local_platform.log_files import further_logs
from convergence_orchestration.local_platform.running import NothingRuns, running_platform
from convergence_orchestration.releases.specification import specification_of
from convergence_orchestration.settings import Settings, load_settings

_CONNECT_SECONDS = 1.0


@dataclass(frozen=True)
class LogPlace:
    """An open Cloud Logging.

    Attributes:
        api_service: the API's service of Cloud Run.
        look_seconds: the pause between two looks of whoever follows.
        hint: what to tell somebody who finds nothing.
    """

    logs: Logs
    api_service: str
    look_seconds: float
    hint: str = ""


@contextmanager
def opened(data_dir: Path, *, google_cloud: bool) -> Iterator[LogPlace]:
    """The place that the options name, closed at the end.

    Raises:
        PermanentError: NOT_FOUND if no platform has ever run there.
    """
    if google_cloud:
        with _asked(load_settings(admin_api_key=None)) as place:
            yield place
        return
    directory = directory_at(data_dir)
    platform = record.read(directory)
    sources = Sources(directory.local_gcp, (directory.logs,), further_logs(directory))
    names = sorted({name_of(file) for file in sources.found(())})
    if not names:
        raise PermanentError(
            ErrorCode.NOT_FOUND, f"Choose another --data-dir: in {directory.logs} there are no logs yet."
        )
    settings = platform_settings(platform) if platform else load_settings(admin_api_key=None)
    hint = f" There are logs of {', '.join(names)}."
    if _is_served(directory, settings):
        with _asked(settings, hint) as place:
            yield place
        return
    with serving(directory.local_gcp, sources) as port:
        own = settings.model_copy(update={"logging_emulator_host": f"127.0.0.1:{port}"})
        with _asked(own, hint) as place:
            yield place


@contextmanager
def _asked(settings: Settings, hint: str = "") -> Iterator[LogPlace]:
    logs = Logs(logging_client(settings), settings.gcp_project_id)
    service = specification_of(settings.environment).service
    try:
        yield LogPlace(logs, service, settings.log_look_seconds, hint)
    finally:
        logs.close()


def _is_served(directory: DataDirectory, settings: Settings) -> bool:
    """The platform lives and its local cloud takes connections; after a stop its port may be anybody's."""
    try:
        running_platform(directory)
    except NothingRuns:
        return False
    host, _, port = (settings.logging_emulator_host or "").rpartition(":")
    try:
        socket.create_connection((host, int(port)), _CONNECT_SECONDS).close()
    except (OSError, ValueError):
        return False
    return True
