"""How the two processes of the local cloud begin and end.

What belongs here: signals, the mode of new files, settings and logging, once for both.
"""

import os
import signal
import sys
from pathlib import Path
from types import FrameType

from convergence_orchestration.errors import PermanentError
from convergence_orchestration.logs import configure
from convergence_orchestration.settings import load_settings


def begin(data_dir: Path) -> None:
    """Make this process one that logs as all of ours do, keeps its files to itself, and stops when it is told to.

    It ends in order at SIGTERM and SIGINT, also if it was started with SIGINT ignored. uvicorn takes both over while
    it serves and afterwards raises the signal again for the handler that stood before: this one.
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _exit)
    try:
        configure(load_settings())
    except PermanentError as error:
        sys.stderr.write(f"{error.message}\n")
        sys.exit(2)
    os.umask(0o077)
    data_dir.mkdir(parents=True, exist_ok=True)


def _exit(_number: int, _frame: FrameType | None) -> None:
    sys.exit(0)
