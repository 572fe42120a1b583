"""How far batches are: a progress bar on a terminal, a line every few seconds elsewhere.

What belongs here: showing it. Asking the API how far they are is `batch_following.py`.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from convergence_orchestration.cli.showing import duration

SECONDS_BETWEEN_LINES = 5.0
SECONDS_OF_SILENCE = 30.0
"""So long nothing is said if nothing has changed."""

_SPEED_SECONDS = 60.0  # the rate is that of the last minute


@dataclass(frozen=True)
class Tally:
    """Tenants that were asked for; `failed` counts refused ones too, and may fall when one is tried again."""

    total: int
    done: int
    failed: int

    @property
    def ended(self) -> int:
        """How many are not being made any more."""
        return self.done + self.failed

    @property
    def words(self) -> str:
        """`20 of 300 made`, and how many failed if any did."""
        failed = f", {self.failed} failed" if self.failed else ""
        return f"{self.done} of {self.total} made{failed}"


class Display(Protocol):
    """Shows a tally each time it is called with one."""

    def __call__(self, tally: Tally, /) -> None:
        """Show it."""


@contextmanager
def shown(console: Console, clock: Callable[[], float] = time.monotonic) -> Iterator[Display]:
    """A display for as long as batches are followed."""
    if not console.is_terminal:
        yield Lines(console, clock)
        return
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        _Rate(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
        speed_estimate_period=_SPEED_SECONDS,
    ) as progress:
        yield Bar(progress)


class Lines:
    """A line at once, then one every few seconds, rarer if nothing has changed, and one when all have ended."""

    def __init__(self, console: Console, clock: Callable[[], float]) -> None:
        self._console = console
        self._clock = clock
        self._first: tuple[float, int] | None = None
        self._said: tuple[float, Tally] | None = None

    def __call__(self, tally: Tally) -> None:
        """Say it if it is time to."""
        now = self._clock()
        self._first = self._first or (now, tally.ended)
        if not self._is_news(tally, now):
            return
        self._said = (now, tally)
        self._console.print(f"{tally.words}{self._pace(tally, now)}", soft_wrap=True)

    def _is_news(self, tally: Tally, now: float) -> bool:
        if self._said is None:
            return True
        at, said = self._said
        if tally == said:
            return now - at >= SECONDS_OF_SILENCE
        return now - at >= SECONDS_BETWEEN_LINES or tally.ended >= tally.total

    def _pace(self, tally: Tally, now: float) -> str:
        began, ended_then = self._first or (now, tally.ended)
        if now <= began or tally.ended <= ended_then:
            return ""
        rate = (tally.ended - ended_then) / (now - began)
        rest = tally.total - tally.ended
        left = f", about {duration(rest / rate)} left" if rest else ""
        return f", {rate:.1f}/s{left}"


class Bar:
    """Rich's bar; what was done before it was first shown does not count as speed."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task: TaskID | None = None

    def __call__(self, tally: Tally) -> None:
        """Draw it anew."""
        if self._task is None:
            self._task = self._progress.add_task(tally.words, total=tally.total, completed=tally.ended)
        self._progress.update(
            self._task, description=tally.words, total=tally.total, completed=tally.ended, refresh=True
        )


class _Rate(ProgressColumn):
    """Tenants a second."""

    def render(self, task: Task) -> Text:
        """Nothing as long as it is unknown."""
        return Text(f"{task.speed:.1f}/s" if task.speed else "")
