"""One of Dagster's long-lived processes, logging as all of ours do.

    python -m convergence_orchestration.launching.dagster_process code_server|webserver|daemon ARGUMENTS...

What belongs here: setting up logs, then handing over to Dagster's own command with its own arguments.
"""

import sys
from collections.abc import Callable, Mapping

from convergence_orchestration import logs
from convergence_orchestration.errors import PermanentError
from convergence_orchestration.launching import dagster_logs
from convergence_orchestration.settings import load_settings

_WRONG_SETTINGS = 2


def main(argv: list[str]) -> None:
    """Become the process; the exit status is Dagster's, or 2 for wrong settings or an unknown process."""
    name, *arguments = argv or [""]
    if name not in _COMMANDS:
        sys.exit(f"Name one of {', '.join(_COMMANDS)}.")
    try:
        logs.configure(load_settings())
    except PermanentError as error:
        sys.stderr.write(f"{error.message}\n")
        sys.exit(_WRONG_SETTINGS)
    dagster_logs.take_over()
    sys.argv = [f"dagster {name}", *arguments]
    _COMMANDS[name]()


def _code_server() -> None:
    from dagster._cli import main as dagster  # noqa: PLC0415 each process imports its own part

    sys.argv[1:1] = ["api", "grpc"]
    dagster()  # type: ignore[no-untyped-call]


def _webserver() -> None:
    import uvicorn.config  # noqa: PLC0415
    from dagster_webserver.cli import main as webserver  # noqa: PLC0415

    for one in uvicorn.config.LOGGING_CONFIG["loggers"].values():
        one.update(handlers=[], propagate=True)
    webserver()  # type: ignore[no-untyped-call]


def _daemon() -> None:
    from dagster._daemon.cli import main as daemon  # noqa: PLC0415

    sys.argv[1:1] = ["run"]
    daemon()


_COMMANDS: Mapping[str, Callable[[], None]] = {
    "code_server": _code_server,
    "webserver": _webserver,
    "daemon": _daemon,
}


if __name__ == "__main__":
    main(sys.argv[1:])
