"""A step of the start: the environment is prepared, as the job `prepare_environment` does it, with the same functions.

    python -m convergence_orchestration.local_platform.prepare

What belongs here: this step alone, run as a process of its own so that the supervisor never holds a key nor Google's
libraries. It prints nothing of the administrators' key.
"""

import contextlib
import sys
from datetime import UTC, datetime

from convergence_orchestration.environment.cloud import opened
from convergence_orchestration.environment.preparing import prepare
from convergence_orchestration.environment.shown import sentence
from convergence_orchestration.errors import ConvergenceError
from convergence_orchestration.logs import configure, logger
from convergence_orchestration.settings import load_settings

_log = logger("convergence_orchestration.local_platform.prepare")


def main() -> None:
    """Make sure that ring, key, administrators' key and bindings are there; exit with 1 and a sentence if that fails."""
    try:
        with opened(load_settings()) as cloud:
            for prepared in prepare(cloud, datetime.now(UTC)):
                _log.info(sentence(prepared))
    except ConvergenceError as error:
        _log.error(error.message)
        sys.exit(1)


if __name__ == "__main__":
    with contextlib.suppress(ConvergenceError):  # which `main` tells
        configure(load_settings())
    main()
