"""The calling tenant's own pipeline runs: start one, list them, look at one. The tenant is the key's, whatever is sent."""

import json
from typing import Annotated

from fastapi import APIRouter, Header, Query, Request, Response

from convergence_orchestration.api.auth import TenantRoute, caller_of, needs, tenant_of
from convergence_orchestration.api.own_bodies import (
    PipelineRunAccepted,
    PipelineRunFacts,
    PipelineRunPage,
    PipelineRunWanted,
)
from convergence_orchestration.api.own_usage import quota_of
from convergence_orchestration.api.pipeline_calls import PipelineCalls, Wanted
from convergence_orchestration.api.services import services_of
from convergence_orchestration.api.statuses import OWN_TENANT_ERRORS, documented
from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.keys.model import Scope
from convergence_orchestration.tenancy.pipelines.history import RunHistory
from convergence_orchestration.tenancy.pipelines.model import (
    PipelineRun,
    parse_pipeline_asked,
    parse_pipeline_run_id,
    pipeline_run_id,
)

_PATH = "/api/v1/tenants/me/pipeline-runs"

router = APIRouter(
    prefix=_PATH,
    tags=["own tenant"],
    route_class=TenantRoute,
)


@router.post(
    "",
    summary="Start a pipeline run",
    status_code=202,
    dependencies=[needs(Scope.PIPELINES_WRITE)],
    responses=documented(
        *OWN_TENANT_ERRORS,
        ErrorCode.INVALID_ARGUMENT,
        ErrorCode.IDEMPOTENCY_KEY_REUSED,
        ErrorCode.QUOTA_EXCEEDED,
    ),
)
async def start(
    request: Request,
    response: Response,
    wanted: PipelineRunWanted,
    idempotency_key: Annotated[
        str | None,
        Header(
            alias="Idempotency-Key",
            description="1 to 255 visible characters; the same key again is answered with the same run, not a second one.",
        ),
    ] = None,
) -> PipelineRunAccepted:
    """Count a run against the plan and launch it. 503 means that nothing was counted or begun."""
    services, tenant = services_of(request), tenant_of(request)
    run = Wanted(
        tenant_id=tenant.tenant_id,
        plan=tenant.plan,
        key_id=caller_of(request).key_id,
        pipeline_run_id=pipeline_run_id(tenant.tenant_id, idempotency_key),
        is_keyed=idempotency_key is not None,
        asked=parse_pipeline_asked(wanted.pipeline, wanted.parameters),
    )
    started = await PipelineCalls(services, run).start()
    response.headers["Location"] = f"{_PATH}/{run.pipeline_run_id}"
    return PipelineRunAccepted(
        pipeline_run_id=run.pipeline_run_id,
        state=started.state,
        run_id=started.run_id,
        quota=quota_of(started.usage, run.limits, services.clock()),
    )


@router.get(
    "",
    summary="My pipeline runs",
    dependencies=[needs(Scope.PIPELINES_READ)],
    responses=documented(*OWN_TENANT_ERRORS, ErrorCode.INVALID_ARGUMENT),
)
async def page(
    request: Request,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    before: Annotated[str | None, Query(description="`next_before` of the page before.")] = None,
) -> PipelineRunPage:
    """A page of the caller's runs, the newest first."""
    services = services_of(request)
    history = RunHistory(services.bigquery, tenant_of(request).tenant_id)
    last = parse_pipeline_run_id(before) if before else None
    # one more tells whether there is another page
    runs = await services.blocking(history.page, limit + 1, last)
    shown = [_facts(run) for run in runs[:limit]]
    return PipelineRunPage(
        pipeline_runs=shown, next_before=shown[-1].pipeline_run_id if len(runs) > limit else None
    )


@router.get(
    "/{pipeline_run_id}",
    summary="One of my pipeline runs",
    dependencies=[needs(Scope.PIPELINES_READ)],
    responses=documented(*OWN_TENANT_ERRORS, ErrorCode.INVALID_ARGUMENT, ErrorCode.NOT_FOUND),
)
async def one(request: Request, pipeline_run_id: str) -> PipelineRunFacts:
    """One run of the caller; another tenant's is as unknown as one that never was."""
    services = services_of(request)
    history = RunHistory(services.bigquery, tenant_of(request).tenant_id)
    run = await services.blocking(history.get, parse_pipeline_run_id(pipeline_run_id))
    if run is None:
        raise PermanentError(
            ErrorCode.NOT_FOUND, "Check the pipeline run's id: you have no pipeline run of this id."
        )
    return _facts(run)


def _facts(run: PipelineRun) -> PipelineRunFacts:
    return PipelineRunFacts(
        pipeline_run_id=run.pipeline_run_id,
        pipeline=run.pipeline,
        state=run.state,
        parameters=json.loads(run.parameters or "{}"),
        key_id=run.key_id,
        requested_at=run.requested_at,
        started_at=run.started_at,
        finished_at=run.finished_at,
        rows_written=run.rows_written,
        error_code=run.error_code,
        reason=run.reason,
        run_id=run.run_id,
    )
