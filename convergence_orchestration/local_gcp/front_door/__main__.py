"""The front door's process: `python -m convergence_orchestration.local_gcp.front_door --data-dir D --http-port P --https-port Q`.

What belongs here: arguments, the lock on the data directory, and the two loops. SIGTERM ends Envoy too; SIGKILL leaves it
serving for the next such process to adopt.
"""

import argparse
import fcntl
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.local_gcp.front_door.bootstrap import LOOPBACK, FrontDoorPorts
from convergence_orchestration.local_gcp.front_door.counting import MAX_LOG_BYTES, Counting
from convergence_orchestration.local_gcp.front_door.directory import Directory
from convergence_orchestration.local_gcp.front_door.measurements import Measurements
from convergence_orchestration.local_gcp.front_door.supervisor import Supervisor
from convergence_orchestration.local_gcp.local_ca import LOCAL_NAMES
from convergence_orchestration.local_gcp.process import begin
from convergence_orchestration.logs import logger

_ROUND_SECONDS = 0.02
_COUNT_SECONDS = 0.25
_log = logger("convergence_orchestration.local_gcp.front_door")


def main(argv: list[str] | None = None) -> None:
    """Serve until SIGTERM or SIGINT."""
    arguments = _arguments(argv)
    begin(arguments.data_dir)
    directory = Directory.at(arguments.data_dir)
    ports = FrontDoorPorts(
        arguments.http_port,
        arguments.https_port,
        arguments.admin_port,
        arguments.host,
        arguments.source,
        arguments.https_only,
    )
    names = (*LOCAL_NAMES, *arguments.name)
    try:
        with _locked(directory.lock):
            _serve(
                directory,
                Supervisor(directory, ports, _now, names, arguments.default),
                arguments.max_log_bytes,
            )
    except PermanentError as error:
        sys.exit(error.message)


def _serve(directory: Directory, supervisor: Supervisor, max_log_bytes: int) -> None:
    stopping = threading.Event()
    counting = threading.Thread(
        target=_count, args=(directory, supervisor, max_log_bytes, stopping), name="counting"
    )
    try:
        supervisor.begin()
        counting.start()
        _log.info("The front door is kept.", envoy=supervisor.envoy_pid)
        while not stopping.wait(_ROUND_SECONDS):
            supervisor.round()
    except SystemExit:  # told to end; after a defect Envoy goes on and the next of us adopts it
        supervisor.end()
        raise
    finally:
        stopping.set()
        if counting.is_alive():
            counting.join()


def _count(
    directory: Directory, supervisor: Supervisor, max_log_bytes: int, stopping: threading.Event
) -> None:
    measurements = Measurements(directory.database)
    counting = Counting(directory.access_log, measurements, supervisor.admin, _now, max_log_bytes)
    while not stopping.is_set():
        try:
            has_more = counting.round()
        except Exception:  # noqa: BLE001 a defect in counting must not end what serves
            _log.exception("The access log could not be counted; it is tried again.")
            has_more = False
        if not has_more:
            stopping.wait(_COUNT_SECONDS)
    counting.round()  # what Envoy wrote at its end
    measurements.close()


def _now() -> datetime:
    return datetime.now(UTC)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        message = "Choose another --data-dir: another front door uses this one."
        raise PermanentError(ErrorCode.INVALID_SETTINGS, message) from None
    try:
        yield
    finally:
        os.close(descriptor)


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Envoy in front of the local Cloud Run's revisions")
    parser.add_argument("--data-dir", type=Path, required=True, help="where all state is kept")
    parser.add_argument("--http-port", type=int, required=True, help="port for HTTP/1.1 and h2")
    parser.add_argument("--host", default=LOOPBACK, help="address of both; default 127.0.0.1")
    parser.add_argument("--source", default=LOOPBACK, help="address that instances see; default 127.0.0.1")
    parser.add_argument("--https-port", type=int, required=True, help="the same with TLS")
    parser.add_argument("--https-only", action="store_true", help="send whoever asks in clear to HTTPS")
    parser.add_argument(
        "--default",
        default="",
        metavar="SERVICE",
        help="who gets requests for any other host; default the first service",
    )
    parser.add_argument(
        "--admin-port", type=int, default=0, help="port of Envoy's administration; default any"
    )
    parser.add_argument("--name", action="append", default=[], help="one more name for the certificate")
    parser.add_argument(
        "--max-log-bytes", type=int, default=MAX_LOG_BYTES, help="size at which a log is begun anew"
    )
    return parser.parse_args(argv)


if __name__ == "__main__":
    main()
