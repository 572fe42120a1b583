"""Batches of tenants while the platform makes them: what the API says of one, and asking again until it has ended.

What belongs here: asking and waiting. Time is a parameter; nothing is printed here but that the API does not answer.
"""

import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from convergence_orchestration.cli.asking import REQUESTS, segment
from convergence_orchestration.cli.batch_progress import Tally
from convergence_orchestration.cli.reporting import tell
from convergence_orchestration.errors import TRANSIENT_CODES, ConvergenceError, ErrorCode, TransientError

if TYPE_CHECKING:
    from convergence_orchestration.cli.api_calls import ApiCalls

PATIENCE_SECONDS = 120.0
"""How long the API may be away, restarting or busy, before somebody who follows a batch is told."""

PASSING_CODES = TRANSIENT_CODES | {ErrorCode.RATE_LIMITED}
_SHORTEST_PAUSE = 1.0
_LONGEST_PAUSE = 5.0
_PAUSE_BY_ELAPSED = 0.1  # each look is a query: who waits for minutes is not told by the second


@dataclass(frozen=True)
class Watch:
    """The time: `clock` in seconds from anywhere, `sleep` for seconds."""

    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep

    def patiently[T](self, act: Callable[[], T], passing: Collection[ErrorCode] = PASSING_CODES) -> T:
        """What `act` returns, tried again while it fails with one of the codes that may pass.

        Raises:
            ConvergenceError: it failed otherwise, or did not pass in PATIENCE_SECONDS.
        """
        until = self.clock() + PATIENCE_SECONDS
        is_told = False
        while True:
            try:
                return act()
            except ConvergenceError as error:
                pause = error.retry_after if isinstance(error, TransientError) else _LONGEST_PAUSE
                if error.code not in passing or self.clock() + pause > until:
                    raise
                if not is_told:
                    tell(f"{error.message}\nTrying again for {PATIENCE_SECONDS:g} s.")
                is_told = True
            self.sleep(pause)

    def pause(self, began: float) -> None:
        """Sleep until the next look at what began at that time of the clock."""
        elapsed = self.clock() - began
        self.sleep(min(_LONGEST_PAUSE, max(_SHORTEST_PAUSE, elapsed * _PAUSE_BY_ELAPSED)))


@dataclass(frozen=True)
class BatchStatus:
    """How far a batch is; `accepted` is how many requests it has, which the API may not all see at once.

    Attributes:
        body: the API's answer.
        accepted: as the answer to the batch itself said; 0 if that is not known.
    """

    body: Mapping[str, Any]
    accepted: int

    @property
    def total(self) -> int:
        """How many tenants it is to make."""
        return max(self.accepted, int(self.body["total"]))

    def count(self, state: str) -> int:
        """How many of its requests are in a state."""
        return int(self.body["counts"].get(state, 0))

    @property
    def is_settled(self) -> bool:
        """Nothing is waiting or being worked on now; what failed may be tried again later."""
        return self.count("DONE") + self.count("FAILED") >= self.total

    @property
    def is_finished(self) -> bool:
        """Nothing happens to it any more by itself."""
        return self.is_settled and bool(self.body["is_finished"])

    @property
    def tally(self) -> Tally:
        """For the display."""
        return Tally(self.total, self.count("DONE"), self.count("FAILED"))


def status_of(calls: "ApiCalls", batch_id: str, accepted: int = 0) -> BatchStatus:
    """How far a batch is now.

    Raises:
        ConvergenceError: NOT_FOUND if there is no such batch; whatever else the API refuses.
    """
    return BatchStatus(calls.get(f"/admin/tenant-batches/{segment(batch_id)}").body, accepted)


def follow(
    look: Callable[[], BatchStatus], show: Callable[[BatchStatus], None], watch: Watch, seconds: float | None
) -> BatchStatus:
    """Look again and again until the batch is finished or the seconds are over; None is without end."""
    began = watch.clock()
    while True:
        status = watch.patiently(look)
        show(status)
        if status.is_finished or (seconds is not None and watch.clock() - began >= seconds):
            return status
        watch.pause(began)


def failures(calls: "ApiCalls", status: BatchStatus) -> Iterable[Mapping[str, Any]]:
    """Every request of a batch that failed, with its tenant, reason and what is next; the answer holds but the first."""
    first: list[Mapping[str, Any]] = status.body["failures"]
    if status.count("FAILED") <= len(first):
        return first
    query = {"batch_id": str(status.body["batch_id"]), "state": "FAILED"}
    return REQUESTS.read(calls, None, query).found
