"""DAGSTER_HOME of the platform: the repository's dagster.yaml, and a workspace that points to the code server.

What belongs here: the two files. What they say is explained in `dagster.yaml` at the repository's root.
"""

import shutil
from pathlib import Path

import convergence_orchestration
from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.local_platform.directory import DataDirectory
from convergence_orchestration.local_platform.ports import LOOPBACK, Ports

LOCATION_NAME = "convergence_orchestration"

_WORKSPACE = """\
# Written by `convergence up`. The web server and the daemon ask one code server, so the code is imported once.
load_from:
  - grpc_server:
      host: {host}
      port: {port}
      location_name: {location}
"""


def prepare(directory: DataDirectory, ports: Ports, source: Path | None = None) -> bool:
    """Write both files anew; True if Dagster has stored nothing here yet.

    Raises:
        PermanentError: NOT_FOUND if there is no dagster.yaml to copy.
    """
    source = source or Path(convergence_orchestration.__file__).parents[1] / "dagster.yaml"
    if not source.is_file():
        raise PermanentError(
            ErrorCode.NOT_FOUND,
            f"Run convergence from a checkout of the repository: {source} is not there.",
        )
    is_fresh = not (directory.dagster_home / "history" / "runs.db").exists()
    shutil.copyfile(source, directory.dagster_home / "dagster.yaml")
    directory.workspace_file.write_text(
        _WORKSPACE.format(host=LOOPBACK, port=ports.code_server, location=LOCATION_NAME)
    )
    return is_fresh
