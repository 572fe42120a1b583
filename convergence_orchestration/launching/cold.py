"""A fresh process for what needs no zygote, or cannot have one: `run` executes a run, `lost` reports a dead worker's run.

The request arrives on standard input, so nothing of it is seen in the list of processes.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping

from convergence_orchestration.launching.model import LaunchRequest
from convergence_orchestration.launching.paths import LaunchPaths, launch_paths, open_log
from convergence_orchestration.launching.processes import python_command
from convergence_orchestration.launching.records import RunRecords


def spawn(
    paths: LaunchPaths, request: LaunchRequest, environment: Mapping[str, str], lost_because: str = ""
) -> subprocess.Popen[bytes]:
    """Start a process that executes the run, or, with `lost_because`, that reports its worker's death; OSError if it cannot."""
    with open_log(paths.workers_log) as log:
        child = subprocess.Popen(  # noqa: S603 our own module by the location's Python
            python_command(request.location.executable, "cold", os.fspath(paths.home)),
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            cwd=request.location.working_directory,
            env=dict(environment),
            start_new_session=True,
        )
    message = json.dumps({"request": request.to_json(), "lost_because": lost_because})
    stdin = child.stdin
    if stdin is not None:
        with stdin:
            stdin.write(message.encode())
    return child


def main(home: str) -> int:
    """Do what standard input asks for; the exit code."""
    # imported here because they import dagster, which the server, the other user of this module, must not
    from convergence_orchestration.launching import client, lost, worker  # noqa: PLC0415

    message = json.load(sys.stdin)
    request = LaunchRequest.from_json(message["request"])
    if message["lost_because"]:
        lost.report_request(request, message["lost_because"])
        return 0
    paths = launch_paths(home)
    code = worker.execute(RunRecords(paths.runs), request.run_id)
    client.resume(paths)  # the server may be gone, and no zygote there to see it
    return code


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    sys.exit(main(sys.argv[1]))
