"""How commands end: exit statuses, and errors as sentences on standard error.

What belongs here: what all commands share about telling. A foreseeable error never shows a traceback.
"""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from types import FrameType
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperGroup

from convergence_orchestration.errors import ConvergenceError, ErrorCode

if TYPE_CHECKING:
    from rich.console import Console

_WIDE = 200  # columns of a table that nobody looks at on a terminal


class ExitStatus(IntEnum):
    """What the shell is told. `convergence --help` documents them."""

    OK = 0
    FAILED = 1
    WRONG_SETTINGS = 2  # and wrong usage, as Typer has it
    ALREADY_RUNS = 3
    NOTHING_RUNS = 4
    INTERRUPTED = 130


class ReportingGroup(TyperGroup):
    """The commands, with our errors reported as sentences."""

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401 Typer's own signature
        """Run the command that was typed."""
        with reported():
            return super().invoke(ctx)


@contextmanager
def reported() -> Iterator[None]:
    """Turn our errors into a sentence on standard error and an exit status."""
    try:
        yield
    except ConvergenceError as error:
        tell(error.message)
        raise typer.Exit(_status(error)) from None


def tell(text: str) -> None:
    """Say something to the person, not to the program that reads our output."""
    typer.echo(text, err=True)


def interrupted_by_signals() -> None:
    """From now on SIGTERM and a closed terminal interrupt this process as Ctrl-C does, so that it can clean up."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)


def console(*, stderr: bool = False) -> "Console":
    """Rich's console; wide where it is no terminal, so that programs read whole lines."""
    from rich.console import Console  # noqa: PLC0415 most commands print no table

    made = Console(stderr=stderr, highlight=False)
    return made if made.is_terminal else Console(stderr=stderr, highlight=False, width=_WIDE)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _status(error: ConvergenceError) -> ExitStatus:
    from convergence_orchestration.local_platform.running import NothingRuns  # noqa: PLC0415 imports psutil

    if isinstance(error, NothingRuns):
        return ExitStatus.NOTHING_RUNS
    if error.code is ErrorCode.INVALID_SETTINGS:
        return ExitStatus.WRONG_SETTINGS
    return ExitStatus.FAILED
