"""How long a request has taken, from its events. Pure; the clock is a parameter.

What belongs here: arithmetic on events in order. Writers' clocks may differ, so no duration is ever below zero.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

from convergence_orchestration.tenancy.request_model import OPEN_STATES, RequestEvent, RequestState


@dataclass(frozen=True)
class Timeline:
    """Seconds: until a run first began with it, in runs, and altogether."""

    waited: float
    worked: float
    total: float


def seconds_between(events: Sequence[RequestEvent]) -> list[float | None]:
    """For each event the seconds since the one before; None for the first."""
    gaps = [_seconds(first.recorded_at, second.recorded_at) for first, second in pairwise(events)]
    return [None, *gaps] if events else []


def timeline(events: Sequence[RequestEvent], now: datetime) -> Timeline:
    """The durations of a request with these events, at least one, as of `now` if it is open."""
    latest = events[-1]
    end = now if latest.state in OPEN_STATES else latest.recorded_at
    began = events[0].recorded_at
    first_run = next((event.recorded_at for event in events if event.state is RequestState.RUNNING), end)
    ends = [event.recorded_at for event in events[1:]] + [end]
    worked = sum(
        _seconds(event.recorded_at, until)
        for event, until in zip(events, ends, strict=True)
        if event.state is RequestState.RUNNING
    )
    return Timeline(_seconds(began, first_run), round(worked, 3), _seconds(began, end))


def _seconds(first: datetime, second: datetime) -> float:
    return round(max(0.0, (second - first).total_seconds()), 3)
