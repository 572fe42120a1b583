"""One attempt at one request to onboard a tenant: what is recorded before, after, and when it fails.

What belongs here: the events around `provisioning.provision`, which does the work. Dagster is not known here.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from convergence_orchestration.errors import ConvergenceError, ErrorCode, PermanentError, TransientError
from convergence_orchestration.gcp.bigquery import BigQuery
from convergence_orchestration.logs import logger
from convergence_orchestration.tenancy.model import NewTenant, RequestEvent, RequestId, RequestState
from convergence_orchestration.tenancy.provisioning import Provisioned, ensure_bootstrapped, provision
from convergence_orchestration.tenancy.request_history import next_attempt
from convergence_orchestration.tenancy.requests import TenantRequests

_log = logger(__name__)


@dataclass(frozen=True)
class Onboarding:
    """A request and the run that works on it.

    Attributes:
        is_last_try: nobody repeats this attempt by itself, so that a failure that may pass is recorded as well.
        clock: the time now, UTC.
    """

    bigquery: BigQuery
    request_id: RequestId
    asked: NewTenant
    run_id: str
    actor: str
    is_last_try: bool
    clock: Callable[[], datetime]

    @contextmanager
    def recorded(self) -> Iterator[Callable[[], Provisioned]]:
        """Record RUNNING, give the function that provisions, then record DONE, or FAILED if the block raises.

        A request that is DONE already is provisioned once more, which changes nothing, and nothing is recorded.

        Raises:
            PermanentError: NOT_BOOTSTRAPPED: there is no table to record in.
        """
        ensure_bootstrapped(self.bigquery)
        attempt = self._begin()
        try:
            yield self._provision
            self._append(RequestState.DONE, attempt)
        except Exception as error:
            self._record_failure(error, attempt)
            raise

    def _provision(self) -> Provisioned:
        return provision(self.bigquery, self.request_id, self.asked, self.clock())

    def _begin(self) -> int | None:
        """Record what must be known before anything is made; the attempt's number, None if all is done already."""
        request = TenantRequests(self.bigquery).get(self.request_id)
        if request is not None and request.tenant_id != self.asked.tenant_id:
            raise PermanentError(
                ErrorCode.INVALID_ARGUMENT,
                f"Leave request_id empty or correct tenant_id: {self.request_id} was for {request.tenant_id}.",
                {"request_id": self.request_id, "tenant_id": request.tenant_id},
            )
        if request is not None and request.state is RequestState.DONE:
            return None
        is_news = request is None or request.parameters != self.asked
        attempt = next_attempt(request, asks_otherwise=is_news)
        if is_news:
            self._append(RequestState.REQUESTED, attempt)
        self._append(RequestState.RUNNING, attempt)
        return attempt

    def _record_failure(self, error: Exception, attempt: int | None) -> None:
        if isinstance(error, TransientError) and not self.is_last_try:
            return
        code, reason = (
            ErrorCode.INTERNAL,
            "Report this defect with the run's link: an error nobody expected ended it.",
        )
        if isinstance(error, ConvergenceError):
            code, reason = error.code, error.message
        try:
            self._append(RequestState.FAILED, attempt, reason, code)
        except ConvergenceError as second:
            _log.warning(
                "A failed request could not be recorded.",
                request_id=self.request_id,
                code=code,
                because=second.code,
            )

    def _append(
        self,
        state: RequestState,
        attempt: int | None,
        reason: str | None = None,
        error_code: ErrorCode | None = None,
    ) -> None:
        if attempt is None:
            return
        event = RequestEvent(
            request_id=self.request_id,
            tenant_id=self.asked.tenant_id,
            state=state,
            recorded_at=self.clock(),
            actor=self.actor,
            attempt=attempt,
            parameters=self.asked if state is RequestState.REQUESTED else None,
            run_id=None if state is RequestState.REQUESTED else self.run_id,
            reason=reason,
            error_code=error_code,
        )
        TenantRequests(self.bigquery).append(event)
