"""How any process reaches the fork server of a Dagster home, and starts it if there is none."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from convergence_orchestration.errors import ErrorCode, TransientError
from convergence_orchestration.launching.lines import Lines
from convergence_orchestration.launching.model import ProcessIdentity
from convergence_orchestration.launching.paths import LaunchPaths, open_log
from convergence_orchestration.launching.processes import is_alive, python_command
from convergence_orchestration.launching.records import RunRecords
from convergence_orchestration.launching.sources import fingerprint

ALREADY_RUNNING = 3
"""Exit code of a server that found another one alive."""

_START_SECONDS = 30.0
_ANSWER_SECONDS = 15.0
_ATTEMPTS = 3


def own_code() -> str:
    """What this package's files look like now: a server that runs other code than its callers is replaced."""
    return fingerprint([os.fspath(Path(__file__).parent)]).digest


def impossible_because() -> str:
    """Why there can be no fork server on this system; empty if there can."""
    if not hasattr(os, "fork"):
        return "this system cannot fork processes"
    if not hasattr(socket, "AF_UNIX"):
        return "this system has no Unix sockets"
    return ""


def ask(paths: LaunchPaths, message: Mapping[str, object]) -> dict[str, Any]:
    """The running server's answer.

    Raises:
        TransientError: UNAVAILABLE, there is no server or it does not answer.
    """
    path = paths.socket()
    if path is None:
        raise _unavailable("no fork server was started yet")
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(_ANSWER_SECONDS)
            connection.connect(os.fspath(path))
            lines = Lines(connection)
            lines.send(message)
            answer = lines.answer()
    except (OSError, ValueError) as error:
        raise _unavailable(f"the fork server does not answer: {error}") from error
    if "error" in answer:
        raise _unavailable(str(answer["error"]))
    return answer


def ask_or_start(paths: LaunchPaths, message: Mapping[str, object]) -> dict[str, Any]:
    """The answer of the server, which is started if there is none and replaced if it runs older code.

    `message` may arrive twice when a server dies in between: the server knows a run that it was told of before.

    Raises:
        TransientError: UNAVAILABLE, no server could be started or none answered.
    """
    code = own_code()
    for attempt in range(_ATTEMPTS):
        try:
            answer = ask(paths, {**message, "code": code})
        except TransientError:
            if attempt == _ATTEMPTS - 1:
                raise
            start_server(paths)
            continue
        if not answer.get("outdated"):
            return answer
        start_server(paths)
    raise _unavailable("the fork server was replaced again and again")


def start_server(paths: LaunchPaths, environment: Mapping[str, str] | None = None) -> None:
    """Start the server of this home, if none is alive, with this process's environment unless another is given.

    Comes back once it listens.

    Raises:
        TransientError: UNAVAILABLE, it does not start; its log says why.
    """
    deadline = time.monotonic() + _START_SECONDS
    while _run_server(paths, environment) == ALREADY_RUNNING:
        # somebody started it a moment ago, or it is about to end
        if _listens(paths):
            return
        if time.monotonic() > deadline:
            raise _unavailable(f"the fork server does not answer, see {paths.log}")
        time.sleep(0.1)


def resume(paths: LaunchPaths, environment: Mapping[str, str] | None = None) -> bool:
    """Start the server if runs wait on disk and there is none alive; whether it was started. See `start_server`.

    Raises:
        TransientError: UNAVAILABLE, it does not start.
    """
    return not is_running(paths) and succeed(paths, environment)


def succeed(paths: LaunchPaths, environment: Mapping[str, str] | None = None) -> bool:
    """`resume` for who saw the server end: its process may stand in the table for a moment after its connections are closed.

    Raises:
        TransientError: UNAVAILABLE, the new one does not start.
    """
    if not RunRecords(paths.runs).has_open_requests():
        return False
    start_server(paths, environment)
    return True


def is_running(paths: LaunchPaths) -> bool:
    """Whether the server that wrote its state last still lives."""
    try:
        return is_alive(ProcessIdentity(**json.loads(paths.state.read_text())["server"]))
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _run_server(paths: LaunchPaths, environment: Mapping[str, str] | None) -> int:
    """Run the program that leaves a server behind; 0 if it did, or ALREADY_RUNNING."""
    try:
        paths.make_directories()
        with open_log(paths.log) as log:
            ended = subprocess.run(  # noqa: S603 our own module by our own Python
                python_command(sys.executable, "server", os.fspath(paths.home)),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                start_new_session=True,
                timeout=_START_SECONDS,
                check=False,
            )
    except (OSError, subprocess.SubprocessError) as error:
        raise _unavailable(f"the fork server does not start: {error}") from error
    if ended.returncode not in {0, ALREADY_RUNNING}:
        raise _unavailable(f"the fork server does not start, see {paths.log}")
    return ended.returncode


def _listens(paths: LaunchPaths) -> bool:
    try:
        ask(paths, {"ask": "status"})
    except TransientError:
        return False
    return True


def _unavailable(reason: str) -> TransientError:
    return TransientError(ErrorCode.UNAVAILABLE, reason)
