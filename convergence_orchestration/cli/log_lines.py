"""`convergence logs`: the services' log files, their ends and what is added.

What belongs here: choosing and printing lines. The files are `local_platform/log_files.py`'s business, those of the API's
instances the local Cloud Run's.
"""

import time
from typing import TYPE_CHECKING, Annotated

import typer

from convergence_orchestration.cli.options import DEFAULT_DATA_DIR, DataDir, directory_at
from convergence_orchestration.errors import ErrorCode, PermanentError

if TYPE_CHECKING:
    from pathlib import Path

    from convergence_orchestration.local_platform.directory import DataDirectory

_LOOK_SECONDS = 0.25
_API = "api"
"""How it was deployed at the start, and its instances."""


def logs(
    service: Annotated[
        str | None,
        typer.Argument(
            help="api, webserver, daemon, code_server, bigquery, local_gcp, node, front_door, supervisor, or a revision of "
            "the API; all if left out."
        ),
    ] = None,
    *,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on with what is added, until Ctrl-C.")
    ] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="So many lines of each log's end.")] = 20,
) -> None:
    """Show the end of the logs, also of a platform that has stopped."""
    from convergence_orchestration.local_platform.log_files import Follower, tail  # noqa: PLC0415

    paths = _paths(directory_at(data_dir), service)
    with_names = len(paths) > 1
    followers = {name: Follower(path) for name, path in paths.items()} if follow else {}
    for name, path in paths.items():
        _print(name, tail(path, lines), with_names=with_names)
    while followers:
        time.sleep(_LOOK_SECONDS)
        for name, follower in followers.items():
            _print(name, list(follower.new_lines()), with_names=with_names)


def _paths(directory: "DataDirectory", service: str | None) -> "dict[str, Path]":
    from convergence_orchestration.local_platform.cloud_run import instance_logs  # noqa: PLC0415

    of_revisions = instance_logs(directory)
    there = {path.stem: path for path in sorted(directory.logs.glob("*.log"))} | of_revisions
    if service is None and there:
        return there
    if service == _API and of_revisions:
        return {name: there[name] for name in (_API, *of_revisions) if name in there}
    if service in there:
        return {service: there[service]}
    known = f"there are logs of {', '.join(there)}" if there else "there are no logs yet"
    raise PermanentError(
        ErrorCode.NOT_FOUND, f"Choose another service or --data-dir: in {directory.logs} {known}."
    )


def _print(name: str, lines: list[str], *, with_names: bool) -> None:
    for line in lines:
        typer.echo(f"{name:>11} | {line}" if with_names else line)
