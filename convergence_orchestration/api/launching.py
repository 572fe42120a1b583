"""Launching a job of ours and telling its caller how far it got: shared by the calls that change something.

What belongs here: what is the same for all of them: the tags, the metric, and the answer while a run goes on.
"""

from typing import Annotated

import structlog
from fastapi import Header
from pydantic import BaseModel
from starlette.responses import JSONResponse

from convergence_orchestration import tracing
from convergence_orchestration.api.runs import RunId, RunOutcome
from convergence_orchestration.api.services import Services
from convergence_orchestration.errors import ConvergenceError
from convergence_orchestration.logs import logger

REQUEST_TAG = "convergence/request_id"
TENANT_TAG = "convergence/tenant_id"
ACTOR_TAG = "convergence/actor"
BATCH_TAG = "convergence/batch_id"
CALL_TAG = "convergence/call_id"
TRACE_TAG = "convergence/trace"

_log = logger(__name__)

PreferHeader = Annotated[
    str | None,
    Header(
        alias="Prefer",
        description="`wait=N` waits N seconds for the run (at most 600), `respond-async` does not wait.",
    ),
]


IdempotencyKeyHeader = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        description="1 to 255 visible ASCII characters. The same key is the same request and gets the same answer, "
        "however often it is sent.",
    ),
]


async def launch(
    services: Services, job: str, config: dict[str, dict[str, object]], tags: dict[str, str]
) -> RunId:
    """Launch the op or asset job; `config` is one config by op. Errors are `DagsterClient.launch`'s."""
    run_config = {"ops": {op: {"config": values} for op, values in config.items()}}
    run_id = await services.dagster.launch(job, run_config, {**tags, **_call_tags()})
    services.metrics.run(job)
    return run_id


def _call_tags() -> dict[str, str]:
    """What the run's log lines need to be found with the call's; the context binds both."""
    bound = structlog.contextvars.get_contextvars()
    tags = {CALL_TAG: bound.get("request_id"), TRACE_TAG: tracing.traceparent() or bound.get("trace")}
    return {name: str(value) for name, value in tags.items() if value}


async def launch_or_leave(
    services: Services, job: str, config: dict[str, dict[str, object]], tags: dict[str, str]
) -> RunId | None:
    """As `launch`, for what is written down and launched later by a sensor: None if Dagster took no run now."""
    try:
        return await launch(services, job, config, tags)
    except ConvergenceError as error:
        _log.error("A run could not be launched; the sensor will", job=job, tags=tags, reason=error.message)
        return None


async def outcome_of(services: Services, run_id: RunId, seconds: float, **facts: object) -> RunOutcome:
    """The run's outcome after at most `seconds`; it may be unfinished.

    Raises:
        ConvergenceError: the run's own failure, with run_id, run_url and `facts` in its details.
    """
    outcome = await services.dagster.wait(run_id, seconds)
    if error := outcome.error(services.dagster.run_url(run_id)):
        error.details.update(facts)
        raise error
    return outcome


def accepted(body: BaseModel, location: str) -> JSONResponse:
    """202 with the place where to ask on."""
    return JSONResponse(body.model_dump(mode="json"), 202, {"Location": location})
