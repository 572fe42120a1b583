"""How the API has many tenants made at once: look, write down a request for each, launch one run for all of them.

What belongs here: the order of these steps for a batch. Which rows are accepted is `batch_rows.py`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from convergence_orchestration.api.admission import Follow, Write
from convergence_orchestration.api.batch_rows import (
    Admitted,
    Refused,
    Row,
    admitted,
    check_same_batch,
    parsed,
)
from convergence_orchestration.api.launching import ACTOR_TAG, BATCH_TAG
from convergence_orchestration.api.runs import RunId, RunStatus
from convergence_orchestration.api.services import Services
from convergence_orchestration.api.side_by_side import both
from convergence_orchestration.api.tenant_bodies import MOST_IN_A_BATCH
from convergence_orchestration.api.tenant_calls import Caller, launch_requests, requested
from convergence_orchestration.errors import ConvergenceError, ErrorCode, PermanentError, TransientError
from convergence_orchestration.logs import logger
from convergence_orchestration.tenancy.launches import FULFIL_JOB
from convergence_orchestration.tenancy.request_model import (
    BatchId,
    RequestEvent,
    RequestState,
    TenantRequest,
    batch_id_of_key,
    new_batch_id,
)
from convergence_orchestration.tenancy.requests import RequestFilter

_log = logger(__name__)


@dataclass(frozen=True)
class BatchBegun:
    """A batch that was written down.

    Attributes:
        run_id: the run that was launched for it, or one that works on it since before; None if there is none.
        to_do: how many requests are not done yet.
    """

    batch_id: BatchId
    accepted: list[Admitted]
    refused: list[Refused]
    run_id: RunId | None
    to_do: int


@dataclass(frozen=True)
class _Work:
    """Which runs work on a batch; `is_known` unless Dagster could not be asked."""

    live: frozenset[str] = frozenset()
    tagged: RunId | None = None
    is_known: bool = True

    def includes(self, request: TenantRequest) -> bool:
        """A run that lives has begun with the request, or will: it was launched for the batch."""
        if request.state is RequestState.RUNNING:
            return request.run_id in self.live
        return self.tagged is not None


async def begin_batch(services: Services, sent: Sequence[object], caller: Caller) -> BatchBegun:
    """Write down requests for the rows that can be accepted, and launch a run for those that nobody works on.

    Raises:
        PermanentError: INVALID_ARGUMENT if no row can be accepted, IDEMPOTENCY_KEY_REUSED, NOT_BOOTSTRAPPED; nothing was
            written.
        ConvergenceError: whatever keeps BigQuery from reading, and from writing, after which a part may be written.
    """
    batch_id = _batch_id(caller)
    async with services.turns.of(batch_id):
        rows, malformed = parsed(sent)
        accepted, refused = await _looked_up(services, batch_id, rows, caller)
        refused = sorted([*malformed, *refused], key=lambda each: each.index)
        if not accepted:
            raise _nothing_to_accept(refused)
        await _write(services, batch_id, accepted, caller)
        run_id = await _launched(services, batch_id, accepted, caller)
    return BatchBegun(batch_id, accepted, refused, run_id, sum(map(_is_to_do, accepted)))


def _batch_id(caller: Caller) -> BatchId:
    if caller.idempotency_key is None:
        return new_batch_id()
    return batch_id_of_key(caller.actor, caller.idempotency_key)


async def _looked_up(
    services: Services, batch_id: BatchId, rows: Sequence[Row], caller: Caller
) -> tuple[list[Admitted], list[Refused]]:
    if not rows:
        return [], []
    ids = [row.asked.tenant_id for row in rows]
    reading = both(
        services.blocking(services.tenants.get_all, ids), services.blocking(services.requests.all_for, *ids)
    )
    if caller.idempotency_key is None:
        tenants, requests = await reading
    else:
        of_batch = services.blocking(
            services.requests.page, MOST_IN_A_BATCH, RequestFilter(batch_id=batch_id)
        )
        (tenants, requests), written = await both(reading, of_batch)
        check_same_batch(batch_id, rows, written)
    return admitted(rows, tenants, requests, batch_id)


async def _write(services: Services, batch_id: BatchId, accepted: Sequence[Admitted], caller: Caller) -> None:
    events: list[RequestEvent] = [
        requested(services, each.decision, each.row.asked, caller, batch_id)
        for each in accepted
        if isinstance(each.decision, Write)
    ]
    if not events:
        return
    try:
        await services.blocking(services.requests.append, *events)
    except ConvergenceError as error:
        error.details["batch_id"] = batch_id  # what was written until then is carried out
        raise


async def _launched(
    services: Services, batch_id: BatchId, accepted: Sequence[Admitted], caller: Caller
) -> RunId | None:
    """The run for what was written down now and for what is open without a run that lives."""
    opened = [
        each.decision.request
        for each in accepted
        if isinstance(each.decision, Follow) and each.decision.request.is_open
    ]
    work = await _work_on(services, batch_id, opened) if opened else _Work()
    request_ids = [each.decision.request_id for each in accepted if isinstance(each.decision, Write)]
    if work.is_known:
        request_ids += [request.request_id for request in opened if not work.includes(request)]
    if not request_ids:
        return work.tagged
    return await launch_requests(services, request_ids, {BATCH_TAG: batch_id, ACTOR_TAG: caller.actor})


async def _work_on(services: Services, batch_id: BatchId, opened: Sequence[TenantRequest]) -> _Work:
    try:
        statuses = await services.dagster.tagged(FULFIL_JOB, BATCH_TAG, batch_id)
    except TransientError as error:
        _log.warning("Dagster could not be asked who works on a batch", reason=error.message)
        return _Work(is_known=False)
    tagged = next((run_id for run_id, status in statuses.items() if not status.is_finished), None)
    others = {RunId(request.run_id) for request in opened if request.run_id} - statuses.keys()
    for run_id in others:
        statuses[run_id] = (await services.dagster.wait(run_id, 0)).status
    return _Work(frozenset(run_id for run_id, status in statuses.items() if _is_live(status)), tagged)


def _is_live(status: RunStatus) -> bool:
    return not status.is_finished


def _is_to_do(each: Admitted) -> bool:
    return isinstance(each.decision, Write) or each.decision.request.is_open


def _nothing_to_accept(refused: Sequence[Refused]) -> PermanentError:
    return PermanentError(
        ErrorCode.INVALID_ARGUMENT,
        f"Correct the batch: none of its {len(refused)} rows can be accepted, see details.",
        {"fields": [{"field": each.place, "message": each.message} for each in refused]},
    )
