"""BigQuery on this machine: the `local-bigquery` package as a process of ours, with faults and a readiness path.

    python -m convergence_orchestration.local_gcp.bigquery --data-dir DIR --port P [--faults FILE]

What belongs here: starting it so that it needs no network and that its first request is as quick as the others. The port
opens when that is so: who can connect can work. `GET /healthz` answers 200. The faults file is described in `faults.py`.
"""

import argparse
import os
import socket
import sys
from pathlib import Path

import duckdb
import uvicorn
from duckdb_extensions import import_extension

from convergence_orchestration.local_gcp.asgi_faults import Application, FaultyApplication
from convergence_orchestration.local_gcp.dataset_claims import OneDatasetAtATime
from convergence_orchestration.local_gcp.faults import Faults
from convergence_orchestration.local_gcp.job_names import OneJobAName
from convergence_orchestration.local_gcp.lake_upkeep import keep_up
from convergence_orchestration.local_gcp.lost_races import telling_lost_races
from convergence_orchestration.local_gcp.partitions import Partitions
from convergence_orchestration.local_gcp.process import begin
from convergence_orchestration.local_gcp.quick_catalogue import on_fresh_cursors, quick
from convergence_orchestration.local_gcp.whole_datasets import create_whole
from convergence_orchestration.logs import logger

_EXTENSIONS = ("icu", "spatial", "ducklake")
_log = logger("convergence_orchestration.local_gcp.bigquery")


def main(argv: list[str] | None = None) -> None:
    """Serve until SIGTERM or SIGINT."""
    arguments = _arguments(argv)
    begin(arguments.data_dir)
    own_socket = _bound(arguments.port)
    find_home(arguments.data_dir)
    import_extensions()
    application = warm_application(arguments.data_dir)
    faults = Faults(arguments.faults or arguments.data_dir / "faults.yaml")
    keep_up()
    _log.info("BigQuery is served.", port=arguments.port, data_dir=str(arguments.data_dir))
    config = uvicorn.Config(
        FaultyApplication(Partitions(OneDatasetAtATime(OneJobAName(application))), faults),
        log_config=None,
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=3,
    )
    uvicorn.Server(config).run(sockets=[own_socket])


def find_home(data_dir: Path) -> None:
    """Make `data_dir` the home directory, where DuckDB keeps extensions, if the user's own cannot be written."""
    if not os.access(Path.home(), os.W_OK):
        os.environ["HOME"] = str(data_dir)


def import_extensions() -> None:
    """Install the extensions that came as packages, so that DuckDB never looks for them in the network."""
    with duckdb.connect() as connection:
        connection.execute("SET enable_progress_bar = false")
        for extension in _EXTENSIONS:
            import_extension(extension, con=connection)


def warm_application(data_dir: Path) -> Application:
    """local-bigquery's application on `data_dir`, with its database open and its SQL functions in place."""
    from local_bigquery.engine import database  # noqa: PLC0415 after the extensions
    from local_bigquery.settings import settings  # noqa: PLC0415

    settings.data_dir = data_dir
    from local_bigquery import app  # noqa: PLC0415
    from local_bigquery.catalog import datasets  # noqa: PLC0415
    from local_bigquery.jobs import query  # noqa: PLC0415

    database.projects()
    datasets.create = create_whole
    query.execute = telling_lost_races(on_fresh_cursors(query.execute))
    database.fetch = quick(database.fetch, database._attached.__contains__, database.quote)  # noqa: SLF001 nothing public says it
    database.execute("SET threads = 1")  # small statements, several at once
    application: Application = app
    return application


def _bound(port: int) -> socket.socket:
    # Bound at once, so that a port that is taken ends the start before the work; it listens when all is ready.
    own = socket.socket()
    own.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        own.bind(("127.0.0.1", port))
    except OSError:
        sys.exit(f"Choose another --port: {port} is taken.")
    return own


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="BigQuery on this machine")
    parser.add_argument("--data-dir", type=Path, required=True, help="where all data is kept")
    parser.add_argument("--port", type=int, required=True, help="port on 127.0.0.1")
    parser.add_argument("--faults", type=Path, help="YAML file of faults; default DATA_DIR/faults.yaml")
    return parser.parse_args(argv)


if __name__ == "__main__":
    main()
