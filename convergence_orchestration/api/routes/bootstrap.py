"""POST /admin/bootstrap: the central dataset and its tables, made by a Dagster run."""

from collections.abc import Iterable

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse

from convergence_orchestration.api.auth import AdministratorRoute, admin_key_header, administrator_of
from convergence_orchestration.api.bodies import Accepted, BootstrapOptions, Bootstrapped
from convergence_orchestration.api.launching import ACTOR_TAG, PreferHeader, accepted, launch, outcome_of
from convergence_orchestration.api.prefer import wait_seconds
from convergence_orchestration.api.runs import Materialization, RunStatus
from convergence_orchestration.api.services import services_of
from convergence_orchestration.api.statuses import documented
from convergence_orchestration.errors import ErrorCode
from convergence_orchestration.warehouse.model import CENTRAL_DATASET

JOB = "bootstrap"
DATASET_ASSET = "dataset"
MADE = frozenset({"created", "recreated"})

router = APIRouter(
    prefix="/api/v1/admin",
    tags=["administration"],
    route_class=AdministratorRoute,
    dependencies=[admin_key_header],
)


@router.post(
    "/bootstrap",
    summary="Make the central dataset and tables",
    response_model=Bootstrapped,
    responses={
        202: {"model": Accepted, "description": "The run goes on; Location names it."},
        **documented(
            ErrorCode.FORBIDDEN,
            ErrorCode.BODY_TOO_LARGE,
            ErrorCode.INVALID_ARGUMENT,
            ErrorCode.MALFORMED_JSON,
            ErrorCode.PERMISSION_DENIED,
            ErrorCode.DAGSTER_UNAVAILABLE,
            ErrorCode.UNAVAILABLE,
        ),
    },
)
async def bootstrap(
    request: Request, body: BootstrapOptions | None = None, prefer: PreferHeader = None
) -> Bootstrapped | JSONResponse:
    """Create what is missing; what is there stays as it is unless one of the options asks to recreate it."""
    services = services_of(request)
    await services.dagster.ping()
    options: dict[str, object] = (body or BootstrapOptions()).model_dump()
    run_id = await launch(services, JOB, {"central_tables": options}, {ACTOR_TAG: administrator_of(request)})
    run_url = services.dagster.run_url(run_id)
    outcome = await outcome_of(services, run_id, wait_seconds(prefer, services.settings.run_wait_seconds))
    if outcome.status is RunStatus.SUCCESS:
        return bootstrapped(outcome.materializations, run_id, run_url)
    message = "The run goes on: look at run_url, or send the same request again, which changes nothing twice."
    return accepted(Accepted(run_id=run_id, run_url=run_url, message=message), run_url)


def bootstrapped(materializations: Iterable[Materialization], run_id: str, run_url: str) -> Bootstrapped:
    """What the central assets' metadata say was done."""
    central = {
        item.asset_key[1]: item.metadata
        for item in materializations
        if len(item.asset_key) > 1 and item.asset_key[0] == CENTRAL_DATASET
    }
    dataset = central.pop(DATASET_ASSET, {})
    created = sorted(name for name, facts in central.items() if facts.get("action") in MADE)
    existed = sorted(central.keys() - set(created))
    return Bootstrapped(
        dataset_created=dataset.get("action") in MADE,
        tables_created=created,
        tables_existed=existed,
        total_tables=len(central),
        snapshots={name: str(facts["snapshot"]) for name, facts in central.items() if "snapshot" in facts},
        run_id=run_id,
        run_url=run_url,
        message=f"The platform is bootstrapped: {len(created)} tables created, {len(existed)} were there.",
    )
