"""The node's process.

What belongs here: its command line, its loops (builds; upkeep; revisions), and its end. SIGTERM ends the node and leaves the
instances: `--stop-instances` ends those. `GET /healthz` on the health port answers 200 while the loops turn.
"""

import argparse
import fcntl
import os
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TextIO

from convergence_orchestration.errors import PermanentError
from convergence_orchestration.local_gcp.cloud_build.builder import Builder
from convergence_orchestration.local_gcp.node.ending import stop_instances
from convergence_orchestration.local_gcp.node.node import Node
from convergence_orchestration.local_gcp.node.programs import Surroundings
from convergence_orchestration.local_gcp.node.upkeep import Upkeep
from convergence_orchestration.local_gcp.process import begin
from convergence_orchestration.local_gcp.store import Store
from convergence_orchestration.logs import logger

_STEP_SECONDS = 0.1
_UPKEEP_SECONDS = 30.0
_PAUSE_AFTER_DEFECT_SECONDS = 1.0
_HEALTHY_SECONDS = 10.0
_log = logger("convergence_orchestration.local_gcp.node")


def main(argv: list[str] | None = None) -> None:
    """Build and run until SIGTERM or SIGINT."""
    arguments = _arguments(argv)
    begin(arguments.data_dir)
    data_dir = arguments.data_dir.resolve()
    lock = _only_one(data_dir)
    if arguments.stop_instances:
        stop_instances(data_dir)
        return
    variables = {name: os.environ[name] for name in arguments.pass_env if name in os.environ}
    _wait_for_store(data_dir)
    try:
        store = Store(data_dir)
    except PermanentError as error:
        sys.exit(error.message)
    builder = Builder(store, data_dir, _clock)
    node = Node(
        store, data_dir, Surroundings(variables, arguments.limit_memory, arguments.most_instances), _clock
    )
    beat = _Beat()
    if arguments.health_port is not None:
        _serve_health(arguments.health_port, beat)
    for name, step, pause in (
        ("builds", builder.build_next, _STEP_SECONDS),
        ("upkeep", Upkeep(store, data_dir).round, _UPKEEP_SECONDS),
    ):
        threading.Thread(target=_turn, args=(step, lambda: None, pause), name=name, daemon=True).start()
    _log.info("The node runs.", data_dir=str(data_dir))
    try:
        _turn(node.step, beat.beat, _STEP_SECONDS)
    finally:
        node.close()
        lock.close()


class _Beat:
    def __init__(self) -> None:
        self._last = 0.0

    def beat(self) -> None:
        self._last = time.monotonic()

    @property
    def is_recent(self) -> bool:
        return self._last > 0 and time.monotonic() - self._last < _HEALTHY_SECONDS


def _turn(step: Callable[[], object], beat: Callable[[], None], pause: float) -> None:
    while True:
        try:
            step()
            beat()
        except Exception:  # noqa: BLE001 logged; the loop goes on, or nothing would run any more
            _log.exception("A defect of the local cloud's node; please report it.")
            time.sleep(_PAUSE_AFTER_DEFECT_SECONDS)
        time.sleep(pause)


def _clock() -> datetime:
    return datetime.now(UTC)


def _only_one(data_dir: Path) -> TextIO:
    lock = (data_dir / "node.lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        sys.exit(f"Stop the other node first: one already works on {data_dir}.")
    return lock


def _wait_for_store(data_dir: Path) -> None:
    """The control process makes the store's key; until it has, there is nothing to run."""
    while not (data_dir / "local-gcp.key").exists():
        time.sleep(_STEP_SECONDS)


def _serve_health(port: int, beat: _Beat) -> None:
    class Health(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if beat.is_recent else 503)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 the standard library's name
            pass

    try:
        server = ThreadingHTTPServer(("127.0.0.1", port), Health)
    except OSError:
        sys.exit(f"Choose another --health-port: {port} is taken.")
    threading.Thread(target=server.serve_forever, name="health", daemon=True).start()


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="The node of the local cloud")
    parser.add_argument(
        "--data-dir", type=Path, required=True, help="that of the local cloud's control process"
    )
    parser.add_argument("--health-port", type=int, help="port on 127.0.0.1 for GET /healthz; default: none")
    parser.add_argument(
        "--pass-env",
        action="append",
        default=[],
        metavar="NAME",
        help="a variable of this process that every instance gets (where the emulators are)",
    )
    parser.add_argument(
        "--limit-memory", action="store_true", help="hold instances to their memory limit (address space)"
    )
    parser.add_argument(
        "--most-instances", type=int, help="of one revision, whatever it asks for; default: what it asks for"
    )
    parser.add_argument("--stop-instances", action="store_true", help="end all instances, and be done")
    return parser.parse_args(argv)


if __name__ == "__main__":
    main()
