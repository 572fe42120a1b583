"""Google Cloud on this machine, all but BigQuery, as one process.

    python -m convergence_orchestration.local_gcp.server --data-dir DIR --grpc-port P --rest-port Q [--faults FILE]

What belongs here: which services there are, and starting and stopping both edges over one store. State is kept in
`DIR/local-gcp.sqlite3` and the key of its secrets in `DIR/local-gcp.key`; the faults file is described in `faults.py`.
`GET /healthz` on the REST port answers 200 when both ports serve.
"""

import argparse
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from convergence_orchestration.errors import PermanentError
from convergence_orchestration.local_gcp.cloud_build.service import CloudBuild
from convergence_orchestration.local_gcp.cloud_run.revisions import Revisions
from convergence_orchestration.local_gcp.cloud_run.services import Services
from convergence_orchestration.local_gcp.dispatch import Dispatcher
from convergence_orchestration.local_gcp.faults import Faults
from convergence_orchestration.local_gcp.front_door.directory import DATABASE
from convergence_orchestration.local_gcp.grpc_edge import GrpcEdge
from convergence_orchestration.local_gcp.kms.policies import KeyPolicies
from convergence_orchestration.local_gcp.kms.service import KeyManagement
from convergence_orchestration.local_gcp.logging.service import Logging
from convergence_orchestration.local_gcp.logging.sources import Sources
from convergence_orchestration.local_gcp.monitoring.service import MetricService
from convergence_orchestration.local_gcp.operations import Operations
from convergence_orchestration.local_gcp.process import begin
from convergence_orchestration.local_gcp.projects import Projects
from convergence_orchestration.local_gcp.rest_edge import RestEdge
from convergence_orchestration.local_gcp.rpc import Service
from convergence_orchestration.local_gcp.secret_manager.service import SecretManager
from convergence_orchestration.local_gcp.store import Store
from convergence_orchestration.logs import logger

_log = logger("convergence_orchestration.local_gcp.server")


DEFAULT_FRONT_DOOR_PORT = 8443


def services(
    data_dir: Path,
    front_door_port: int = DEFAULT_FRONT_DOOR_PORT,
    metrics_delay: timedelta = timedelta(),
    logs: Sources | None = None,
) -> list[Service]:
    """Every service of this process.

    The services of Cloud Run answer at the front door's port; metrics of their requests are visible after the delay. `logs`
    are the files that Cloud Logging serves, those of Cloud Run's instances if it is None.
    """
    return [
        KeyManagement(),
        KeyPolicies(),
        SecretManager(),
        Services(data_dir, front_door_port),
        Revisions(),
        CloudBuild(),
        Operations(),
        MetricService(data_dir / DATABASE, metrics_delay),
        Projects(),
        Logging(logs or Sources(data_dir)),
    ]


@dataclass(frozen=True)
class Ports:
    """Where a running local cloud listens on 127.0.0.1."""

    grpc: int
    rest: int


@contextmanager
def serving(
    data_dir: Path,
    ports: Ports = Ports(0, 0),
    faults_file: Path | None = None,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    front_door_port: int = DEFAULT_FRONT_DOOR_PORT,
    metrics_delay: timedelta = timedelta(),
    logs: Sources | None = None,
) -> Iterator[Ports]:
    """Both edges, serving; port 0 means any, and the ports that were taken come back.

    Raises:
        PermanentError: a port is taken, or the data directory's key file is missing.
    """
    with ExitStack() as undo:
        store = Store(data_dir)
        undo.callback(store.close)
        faults = Faults(faults_file or data_dir / "faults.yaml")
        served = services(data_dir, front_door_port, metrics_delay, logs)
        dispatcher = Dispatcher(served, store, faults, clock)
        grpc_edge = GrpcEdge(dispatcher, ports.grpc)
        undo.callback(grpc_edge.stop)
        rest_edge = RestEdge(dispatcher, ports.rest)
        undo.callback(rest_edge.stop)
        undo.callback(dispatcher.stop)
        grpc_edge.start()
        rest_edge.start()
        yield Ports(grpc_edge.port, rest_edge.port)


def main(argv: list[str] | None = None) -> None:
    """Serve until SIGTERM or SIGINT."""
    arguments = _arguments(argv)
    begin(arguments.data_dir)
    try:
        wanted = Ports(arguments.grpc_port, arguments.rest_port)
        with serving(
            arguments.data_dir,
            wanted,
            arguments.faults,
            front_door_port=arguments.front_door_port,
            metrics_delay=timedelta(seconds=arguments.metrics_delay),
            logs=Sources(arguments.data_dir, tuple(arguments.logs), dict(arguments.log)),
        ) as ports:
            _log.info("The local cloud is served.", grpc_port=ports.grpc, rest_port=ports.rest)
            threading.Event().wait()
    except PermanentError as error:
        sys.exit(error.message)


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Google Cloud on this machine, all but BigQuery")
    parser.add_argument("--data-dir", type=Path, required=True, help="where all state is kept")
    parser.add_argument("--grpc-port", type=int, required=True, help="port on 127.0.0.1 for Google's clients")
    parser.add_argument("--rest-port", type=int, required=True, help="port on 127.0.0.1 for gcloud and curl")
    parser.add_argument(
        "--front-door-port",
        type=int,
        default=DEFAULT_FRONT_DOOR_PORT,
        help="port of the front door, written into the addresses of Cloud Run's services",
    )
    parser.add_argument("--faults", type=Path, help="YAML file of faults; default DATA_DIR/faults.yaml")
    parser.add_argument(
        "--metrics-delay", type=float, default=0.0, help="seconds until metrics of requests are visible"
    )
    parser.add_argument(
        "--logs",
        type=Path,
        action="append",
        default=[],
        help="directory whose NAME.log is the process NAME's",
    )
    parser.add_argument(
        "--log", type=_named_file, action="append", default=[], help="NAME=FILE, one further process's log"
    )
    return parser.parse_args(argv)


def _named_file(text: str) -> tuple[str, Path]:
    name, sign, path = text.partition("=")
    if not (name and sign and path):
        raise argparse.ArgumentTypeError("must be NAME=FILE")
    return name, Path(path)


if __name__ == "__main__":
    main()
