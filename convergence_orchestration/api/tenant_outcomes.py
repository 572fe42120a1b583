"""What became of a request about a tenant: done, still being worked on, or why it failed and what happens next.

What belongs here: waiting for a request's run and reading how it ended. What a caller is shown of it is up to the routes.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from convergence_orchestration.api.admission import outlook_of
from convergence_orchestration.api.runs import RunFailure, RunId, RunOutcome, RunStatus
from convergence_orchestration.api.services import Services
from convergence_orchestration.api.tenant_calls import Begun
from convergence_orchestration.errors import ConvergenceError, ErrorCode
from convergence_orchestration.logs import logger
from convergence_orchestration.tenancy.model import TenantId
from convergence_orchestration.tenancy.request_model import RequestState, TenantRequest
from convergence_orchestration.tenancy.retries import Outlook
from convergence_orchestration.warehouse.catalogue import tenant_tables

TENANT_ASSETS = "tenant"

_log = logger(__name__)


@dataclass(frozen=True)
class Finished:
    """A request that is done; `outcome` is its run's, if Dagster still knows it."""

    run_id: RunId | None
    outcome: RunOutcome | None

    def tables_of(self, tenant_id: TenantId) -> list[str]:
        """The tables that the run made sure of; those of the catalogue, which are the same, if it does not tell."""
        materialized = {
            item.asset_key[-1]
            for item in (self.outcome.materializations if self.outcome else ())
            if item.asset_key[:1] == (TENANT_ASSETS,) and item.partition == tenant_id
        }
        return sorted(materialized or {spec.name for spec in tenant_tables()})


async def finished(services: Services, begun: Begun, seconds: float) -> Finished | None:
    """The request, done after at most `seconds`; None if it still goes on.

    Raises:
        ConvergenceError: why it failed, with request_id, run_id, run_url and `next` in its details.
    """
    if begun.is_done:
        return Finished(begun.run_id, await _as_it_was(services, begun))
    if begun.run_id is None:
        return None
    outcome = await services.dagster.wait(begun.run_id, seconds)
    if not outcome.status.is_finished:
        return None
    if begun.is_alone and outcome.status is RunStatus.SUCCESS:
        return Finished(begun.run_id, outcome)
    request = await _request(services, begun)
    if request is not None and request.state is RequestState.DONE:
        return Finished(begun.run_id, outcome)
    if error := _failure(services, begun, outcome, request):
        raise error
    return None


def how_far(begun: Begun, going_on: str) -> tuple[str, str]:
    """Where a caller who does not wait any longer asks on, and the sentence that says so."""
    location = f"/api/v1/admin/tenant-requests/{begun.request_id}"
    if begun.run_id is not None:
        return location, f"{going_on}: GET {location} tells how far it is."
    return location, (
        "The request is written down and Dagster took no run for it now, so it begins by itself as soon as Dagster can "
        f"be asked again: GET {location} tells how far it is."
    )


def next_facts(outlook: Outlook) -> dict[str, object]:
    """What happens next, as JSON values."""
    return {
        "step": str(outlook.step),
        "sentence": outlook.sentence,
        "retry_at": outlook.retry_at.isoformat() if outlook.retry_at else None,
    }


async def _as_it_was(services: Services, begun: Begun) -> RunOutcome | None:
    """What Dagster still knows of the run; a batch's is not asked for, it tells of hundreds of tenants."""
    if begun.run_id is None or begun.batch_id is not None:
        return None
    return await services.dagster.wait(begun.run_id, 0)


async def _request(services: Services, begun: Begun) -> TenantRequest | None:
    try:
        return await services.blocking(services.requests.get, begun.request_id)
    except ConvergenceError as error:
        _log.warning("A request could not be read", tenant_request=begun.request_id, reason=error.message)
        return None


def _failure(
    services: Services, begun: Begun, outcome: RunOutcome, request: TenantRequest | None
) -> ConvergenceError | None:
    """Why it failed: as the run tells if that worked on nothing else, as the request's events tell otherwise."""
    own = outcome
    if not begun.is_alone and request is not None and request.state is RequestState.FAILED:
        own = RunOutcome(outcome.run_id, RunStatus.FAILURE, _recorded(request))
    error = own.error(services.dagster.run_url(outcome.run_id))
    if error is not None:
        error.details.update(_facts(begun, request))
    return error


def _recorded(request: TenantRequest) -> RunFailure:
    return RunFailure(
        request.error_code or ErrorCode.INTERNAL, request.reason or "Look at the run in Dagster."
    )


def _facts(begun: Begun, request: TenantRequest | None) -> Mapping[str, object]:
    facts: dict[str, object] = {"request_id": begun.request_id}
    if request is not None:
        facts["next"] = next_facts(outlook_of(request))
    return facts
