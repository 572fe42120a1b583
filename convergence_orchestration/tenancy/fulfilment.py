"""Carrying out requests in one run: what is recorded before, after, and when one fails.

What belongs here: the events around `provisioning.py` and `changes.py`, which do the work, some requests at a time. What a
run shows of it to Dagster is told to a `Witness`; Dagster itself is not known here.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from itertools import batched
from typing import Protocol

from convergence_orchestration.errors import ConvergenceError, ErrorCode, PermanentError, TransientError
from convergence_orchestration.gcp.bigquery import BigQuery
from convergence_orchestration.logs import logger
from convergence_orchestration.tenancy.asked import NewTenant, RequestKind
from convergence_orchestration.tenancy.attempts import Failures, as_ours, attempted
from convergence_orchestration.tenancy.changes import Changed, Changes
from convergence_orchestration.tenancy.provisioning import Limits, Provisioned, Provisioning, Wanted
from convergence_orchestration.tenancy.request_history import next_attempt
from convergence_orchestration.tenancy.request_model import (
    RequestEvent,
    RequestId,
    RequestState,
    TenantRequest,
)
from convergence_orchestration.tenancy.requests import TenantRequests

REQUESTS_AT_A_TIME = 20
"""Progress shows, and a killed run resumes, in steps of so many; fewer would cost more statements a tenant."""

_log = logger(__name__)


@dataclass(frozen=True)
class Done:
    """A request that was carried out, and what came of it."""

    request: TenantRequest
    result: Provisioned | Changed


class Witness(Protocol):
    """Is told what was done before it is recorded as done, so that what it does about it is done again after a crash."""

    def saw(self, done: Sequence[Done]) -> None:
        """Show these requests' results."""

    def before_deletion(self, request: TenantRequest) -> None:
        """Make sure nothing is in flight for the tenant that is about to be deleted.

        Raises:
            TransientError: something is.
        """


@dataclass
class Summary:
    """What a run did: requests done now, done before, failed with why."""

    done: list[Done] = field(default_factory=list)
    done_before: list[TenantRequest] = field(default_factory=list)
    failed: list[tuple[TenantRequest, ConvergenceError]] = field(default_factory=list)

    def error(self) -> ConvergenceError | None:
        """The first failure if every request failed: then the run has failed; else those are listed, and tried alone."""
        if self.done or self.done_before or not self.failed:
            return None
        return self.failed[0][1]


@dataclass(frozen=True)
class Fulfilment:
    """One run's work on requests.

    Attributes:
        is_last_try: nobody repeats this run's step by itself, so that failures that may pass are recorded as well.
        clock: the time now, UTC.
    """

    bigquery: BigQuery
    changes: Changes
    limits: Limits
    witness: Witness
    run_id: str
    actor: str
    is_last_try: bool
    clock: Callable[[], datetime]

    def fulfil(self, request_ids: Sequence[RequestId]) -> Summary:
        """Carry out these requests; those that are done already stay as they are.

        Raises:
            PermanentError: INVALID_ARGUMENT for requests nobody wrote down.
            ConvergenceError: what failed for all of them at once, before it was recorded.
        """
        summary = Summary()
        for some in batched(request_ids, REQUESTS_AT_A_TIME, strict=False):
            self._fulfil_some(some, summary)
        return summary

    def _fulfil_some(self, request_ids: Sequence[RequestId], summary: Summary) -> None:
        known = self._requests.get_all(request_ids)
        _check_all_are_known(request_ids, known)
        summary.done_before += [request for request in known if request.state is RequestState.DONE]
        to_do = [request for request in known if request.state is not RequestState.DONE]
        if not to_do:
            return
        attempts = {request.request_id: next_attempt(request) for request in to_do}
        self._record(RequestState.RUNNING, to_do, attempts)
        done, failed = self._carried_out(to_do)
        self.witness.saw(done)
        self._record(RequestState.DONE, [each.request for each in done], attempts)
        self._record_failures(to_do, failed, attempts)
        summary.done += done
        summary.failed += [(each, failed[each.request_id]) for each in to_do if each.request_id in failed]

    @property
    def _requests(self) -> TenantRequests:
        return TenantRequests(self.bigquery)

    def _carried_out(self, requests: Sequence[TenantRequest]) -> tuple[list[Done], Failures]:
        wanted = [
            Wanted(request.request_id, request.parameters, request.requested_at)
            for request in requests
            if isinstance(request.parameters, NewTenant)
        ]
        results: dict[RequestId, Provisioned | Changed] = {}
        failed: Failures = {}
        if wanted:
            made, failed = self._provisioned(wanted)
            results |= made
        others = [request for request in requests if not isinstance(request.parameters, NewTenant)]
        if others:
            with ThreadPoolExecutor(self.limits.calls_at_once) as pool:
                changed, refused = attempted(pool, others, by=lambda each: each.request_id, call=self._change)
            results |= changed
            failed |= refused
        done = [Done(each, results[each.request_id]) for each in requests if each.request_id in results]
        return done, failed

    def _provisioned(self, wanted: Sequence[Wanted]) -> tuple[dict[RequestId, Provisioned], Failures]:
        try:
            outcomes = Provisioning(self.bigquery, self.limits).provision(wanted, self.clock())
        except Exception as error:  # noqa: BLE001 whatever failed for all of them has to be recorded for each
            ours = as_ours(error)
            return {}, {each.request_id: ours for each in wanted}
        return outcomes.provisioned, outcomes.failed

    def _change(self, request: TenantRequest) -> Changed:
        if request.kind is RequestKind.DELETE:
            self.witness.before_deletion(request)
        return self.changes.carry_out(request, self.clock())

    def _record_failures(
        self, requests: Sequence[TenantRequest], failed: Failures, attempts: dict[RequestId, int]
    ) -> None:
        """Record what failed; not what the step's own retry will try again, which it does if everything failed."""
        is_tried_again = not self.is_last_try and len(failed) == len(requests)
        to_record = [
            request
            for request in requests
            if request.request_id in failed
            and not (is_tried_again and isinstance(failed[request.request_id], TransientError))
        ]
        try:
            self._record(RequestState.FAILED, to_record, attempts, failed)
        except ConvergenceError as second:
            # they stay RUNNING without a run, which the sensor finds out
            _log.warning("Failed requests could not be recorded.", count=len(to_record), because=second.code)

    def _record(
        self,
        state: RequestState,
        requests: Sequence[TenantRequest],
        attempts: dict[RequestId, int],
        failed: Failures | None = None,
    ) -> None:
        events = [
            RequestEvent(
                request_id=request.request_id,
                tenant_id=request.tenant_id,
                kind=request.kind,
                state=state,
                recorded_at=self.clock(),
                actor=self.actor,
                attempt=attempts[request.request_id],
                run_id=self.run_id,
                batch_id=request.batch_id,
                reason=failed[request.request_id].message if failed else None,
                error_code=failed[request.request_id].code if failed else None,
            )
            for request in requests
        ]
        if events:
            self._requests.append(*events)
        for event in events:
            _tell(event)


def _tell(event: RequestEvent) -> None:
    """One line for each request: in a run of many, each is found by its own id and by its tenant's."""
    _log.info(
        "Request recorded",
        tenant_request_id=event.request_id,
        tenant_id=event.tenant_id,
        kind=str(event.kind),
        state=str(event.state),
        error_code=str(event.error_code) if event.error_code else None,
    )


def _check_all_are_known(request_ids: Sequence[RequestId], known: Sequence[TenantRequest]) -> None:
    unknown = set(request_ids) - {request.request_id for request in known}
    if unknown:
        raise PermanentError(
            ErrorCode.INVALID_ARGUMENT,
            f"Check the request ids: nobody wrote down {', '.join(sorted(unknown)[:3])}.",
            {"unknown": sorted(unknown)},
        )
