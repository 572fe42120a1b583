"""Which requests need a run now, and in how many runs they go: pure, on what was read before.

What belongs here: the sensor's decision, and what a run is launched with. Reading and launching is `sensors.py`; when a failed request is tried again is
`retries.py`.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from itertools import batched

from convergence_orchestration.tenancy.model import TenantId
from convergence_orchestration.tenancy.request_model import RequestId, RequestState
from convergence_orchestration.tenancy.requests import UnfinishedRequest
from convergence_orchestration.tenancy.retries import MOST_ATTEMPTS, NextStep, outlook

FULFIL_JOB = "fulfil_tenant_requests"
"""The job that carries out requests by their ids."""

FULFIL_OP = "fulfil"
"""Its only op."""

GRACE = timedelta(seconds=10)
"""Whoever writes down a request launches its run at once; after this long without one, that process is gone."""

OVERLAP = timedelta(minutes=15)
"""How far back each look reaches: longer than an append may take, with clocks that differ by minutes."""


@dataclass(frozen=True)
class Bounds:
    """How many requests go in one run, and how many such runs there may be at once."""

    requests_per_run: int = 200
    runs_at_once: int = 2


@dataclass(frozen=True)
class Launch:
    """A run to launch for these requests; a second one of the same key is not launched."""

    run_key: str
    request_ids: tuple[RequestId, ...]


@dataclass(frozen=True)
class Plan:
    """What to do now: runs to launch, and requests to give up because run after run of theirs was killed."""

    launches: tuple[Launch, ...] = ()
    given_up: tuple[UnfinishedRequest, ...] = ()
    waiting: int = 0


def plan(
    unfinished: Sequence[UnfinishedRequest],
    in_progress: Collection[RequestId],
    live_runs: int,
    now: datetime,
    bounds: Bounds = Bounds(),
) -> Plan:
    """What to do about the unfinished requests, of which those `in_progress` have a run that lives.

    A tenant's requests are carried out one after the other, in the order in which they were asked for.
    """
    given_up = tuple(
        request for request in unfinished if request.request_id not in in_progress and _is_hopeless(request)
    )
    lost = {request.request_id for request in given_up}
    first = _first_of_each_tenant(request for request in unfinished if request.request_id not in lost)
    ready = [request for request in first if request.request_id not in in_progress and _is_due(request, now)]
    free = max(0, bounds.runs_at_once - live_runs)
    groups = list(batched(ready, bounds.requests_per_run, strict=False))[:free]
    launches = tuple(
        Launch(_run_key(group, now), tuple(each.request_id for each in group)) for group in groups
    )
    launched = sum(len(launch.request_ids) for launch in launches)
    return Plan(launches, given_up, waiting=len(unfinished) - len(given_up) - launched)


def fulfil_config(request_ids: Sequence[RequestId]) -> dict[str, object]:
    """The config of FULFIL_OP for these requests."""
    return {"request_ids": list(request_ids)}


def next_since(unfinished: Sequence[UnfinishedRequest], now: datetime) -> datetime:
    """From when on the next look has to read so that it misses nothing that is unfinished."""
    oldest = min((request.requested_at for request in unfinished), default=now)
    return min(oldest, now) - OVERLAP


def _first_of_each_tenant(requests: Iterable[UnfinishedRequest]) -> list[UnfinishedRequest]:
    first: dict[TenantId, UnfinishedRequest] = {}
    for request in sorted(requests, key=lambda each: (each.requested_at, each.request_id)):
        first.setdefault(request.tenant_id, request)
    return list(first.values())


def _is_hopeless(request: UnfinishedRequest) -> bool:
    """Its runs were killed; one that is only asked for has a new attempt, however many failed before."""
    return request.state is RequestState.RUNNING and request.attempt >= MOST_ATTEMPTS


def _is_due(request: UnfinishedRequest, now: datetime) -> bool:
    if request.state is RequestState.REQUESTED:
        return now - request.updated_at >= GRACE
    next_step = outlook(request.state, request.attempt, request.error_code, request.updated_at)
    if next_step.step is NextStep.RETRY and next_step.retry_at is not None:
        return now >= next_step.retry_at
    return request.state is RequestState.RUNNING


def _run_key(requests: Sequence[UnfinishedRequest], now: datetime) -> str:
    """The same for the same requests in the same state within a minute: a run that dies at once is launched once a minute."""
    told = "|".join(f"{each.request_id}.{each.attempt}.{each.state}" for each in requests)
    return f"{sha256(told.encode()).hexdigest()[:32]}-{now:%Y%m%d%H%M}"
