"""A step of the start: the environment is prepared, as the job `prepare_environment` does it, with the same functions.

    python -m convergence_orchestration.local_platform.prepare

What belongs here: this step alone, run as a process of its own so that the supervisor never holds a key nor Google's
libraries. It prints nothing of the administrators' key.
"""

import sys
from datetime import UTC, datetime

from convergence_orchestration.environment.cloud import opened
from convergence_orchestration.environment.preparing import prepare
from convergence_orchestration.environment.shown import sentence
from convergence_orchestration.errors import ConvergenceError
from convergence_orchestration.settings import load_settings


def main() -> None:
    """Make sure that ring, key, administrators' key and bindings are there; exit with 1 and a sentence if that fails."""
    try:
        with opened(load_settings()) as cloud:
            for prepared in prepare(cloud, datetime.now(UTC)):
                print(sentence(prepared))  # noqa: T201 to its log
    except ConvergenceError as error:
        sys.exit(error.message)


if __name__ == "__main__":
    main()
