"""platform.json in the data directory: written by the starter and the supervisor, read by everyone else.

What belongs here: its form on disk. It never holds a secret.
"""

import json
from dataclasses import asdict
from typing import Any

from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.local_platform.directory import DataDirectory
from convergence_orchestration.local_platform.model import (
    AdminKeySource,
    PlatformRecord,
    PlatformState,
    ProcessIdentity,
    ServiceName,
    ServiceRecord,
    ServiceState,
)


def read(directory: DataDirectory) -> PlatformRecord | None:
    """What is remembered of the platform, None if none was ever started here.

    Raises:
        PermanentError: INVALID_ARGUMENT if the file is not one of ours: guessing could end the wrong processes.
    """
    try:
        text = directory.record_file.read_text()
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        return _platform(json.loads(text))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise PermanentError(
            ErrorCode.INVALID_ARGUMENT,
            f"Move {directory.record_file} out of the way: it is not what convergence writes there.",
        ) from error


def write(directory: DataDirectory, record: PlatformRecord) -> None:
    """Remember `record`; a reader sees the old or the new one, never half of it."""
    fresh = directory.record_file.with_suffix(".json.new")
    fresh.write_text(json.dumps(asdict(record), indent=2))
    fresh.replace(directory.record_file)


def _platform(document: dict[str, Any]) -> PlatformRecord:
    services = {ServiceName(name): _service(entry) for name, entry in document["services"].items()}
    return PlatformRecord(
        platform_id=str(document["platform_id"]),
        base_port=int(document["base_port"]),
        api_port_setting=int(document["api_port_setting"]),
        api_host=str(document["api_host"]),
        state=PlatformState(document["state"]),
        admin_key_source=AdminKeySource(document["admin_key_source"]),
        variables={str(name): str(value) for name, value in document["variables"].items()},
        supervisor=_identity(document["supervisor"]),
        services=services,
        failure=str(document["failure"]),
    )


def _service(document: dict[str, Any]) -> ServiceRecord:
    seconds = document["seconds"]
    return ServiceRecord(
        state=ServiceState(document["state"]),
        identity=_identity(document["identity"]),
        restarts=int(document["restarts"]),
        seconds=None if seconds is None else float(seconds),
        detail=str(document["detail"]),
    )


def _identity(document: dict[str, Any] | None) -> ProcessIdentity | None:
    if document is None:
        return None
    return ProcessIdentity(pid=int(document["pid"]), created=float(document["created"]))
