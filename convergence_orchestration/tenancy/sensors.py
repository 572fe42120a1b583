"""The sensor that leaves no request without a run: `tenant_request_sensor`.

What belongs here: reading what is pending and what runs, and yielding what was decided. The decision is `launches.py`.
"""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg

from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.gcp.resources import BigQueryConnection
from convergence_orchestration.tenancy.jobs import ACTOR_TAG, IN_PROGRESS
from convergence_orchestration.tenancy.launches import (
    FULFIL_JOB,
    FULFIL_OP,
    Launch,
    fulfil_config,
    next_since,
    plan,
)
from convergence_orchestration.tenancy.request_model import (
    RequestEvent,
    RequestId,
    RequestState,
    request_id_of_run,
)
from convergence_orchestration.tenancy.requests import UnfinishedRequest
from convergence_orchestration.tenancy.resources import TenantRequestsApi

SENSOR = "tenant_request_sensor"
SECONDS_BETWEEN_LOOKS = 15
"""A look reads the events of the last minutes alone; BigQuery bills 10 MB for it, 5,760 a day or about 55 GiB."""

NEVER_LAUNCHED_AFTER = timedelta(minutes=2)
"""A run that was made and not launched for so long never will be: whoever made it was killed before launching it."""

RETRIED_WITHIN = timedelta(minutes=2)
"""Dagster retries the run of a killed worker within seconds; after this it is taken for granted that it will not."""

_THE_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


def tenancy_sensors() -> list[dg.SensorDefinition]:
    """The sensors of this domain."""
    return [tenant_request_sensor]


@dg.sensor(
    name=SENSOR,
    job_name=FULFIL_JOB,
    minimum_interval_seconds=SECONDS_BETWEEN_LOOKS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Launches a run for each request that has none that lives: those that nobody launched, those whose run was "
    "killed, and those that failed for a reason that may have passed. Many requests go in one run.",
)
def tenant_request_sensor(
    context: dg.SensorEvaluationContext, bigquery: BigQueryConnection, tenant_requests: TenantRequestsApi
) -> dg.SensorResult | dg.SkipReason:
    """One look."""
    # runs first: a request that ends between the two reads is then known to have a run, and not launched again
    now = datetime.now(UTC)
    live, in_progress = _live_requests(context.instance, now)
    requests = tenant_requests.requests(bigquery)
    try:
        unfinished = requests.unfinished(_since(context.cursor))
    except PermanentError as error:
        if error.code is not ErrorCode.NOT_FOUND:
            raise
        return dg.SkipReason("The platform is not bootstrapped yet.")
    decided = plan(unfinished, in_progress, live, now, tenant_requests.bounds)
    if decided.given_up:
        requests.append(*(_given_up(request, now) for request in decided.given_up))
    cursor = json.dumps({"since": next_since(unfinished, now).isoformat()})
    if not decided.launches:
        return dg.SensorResult(
            skip_reason=f"{decided.waiting} requests are unfinished, and none of them needs a run now.",
            cursor=cursor,
        )
    return dg.SensorResult(run_requests=[_run_request(launch) for launch in decided.launches], cursor=cursor)


def _since(cursor: str | None) -> datetime:
    return datetime.fromisoformat(json.loads(cursor)["since"]) if cursor else _THE_BEGINNING


def _live_requests(instance: dg.DagsterInstance, now: datetime) -> tuple[int, frozenset[RequestId]]:
    """How many runs carry out requests by id now or will in a moment, and which requests they and others work on."""
    live = 0
    found: set[RequestId] = set()
    for run in (*_live_runs(instance, now), *_about_to_be_retried(instance, now)):
        if run.job_name == FULFIL_JOB:
            live += 1
            found.update(_requests_in(run))
        else:
            found.add(request_id_of_run(run.root_run_id or run.run_id))
    return live, frozenset(found)


def _live_runs(instance: dg.DagsterInstance, now: datetime) -> Iterator[dg.DagsterRun]:
    for record in instance.get_run_records(dg.RunsFilter(statuses=IN_PROGRESS)):
        run = record.dagster_run
        is_stuck = now - record.create_timestamp > NEVER_LAUNCHED_AFTER
        if run.status is not dg.DagsterRunStatus.NOT_STARTED or not is_stuck:
            yield run


def _about_to_be_retried(instance: dg.DagsterInstance, now: datetime) -> list[dg.DagsterRun]:
    """Runs whose worker was killed a moment ago, of which Dagster itself launches a retry that is not there yet."""
    recent = dg.RunsFilter(
        statuses=[dg.DagsterRunStatus.FAILURE],
        tags={"dagster/will_retry": "true"},
        updated_after=now - RETRIED_WITHIN,
    )
    return [run for run in instance.get_runs(recent) if "dagster/auto_retry_run_id" not in run.tags]


def _requests_in(run: dg.DagsterRun) -> Iterator[RequestId]:
    config: Any = run.run_config
    yield from map(RequestId, config["ops"][FULFIL_OP]["config"]["request_ids"])


def _run_request(launch: Launch) -> dg.RunRequest:
    return dg.RunRequest(
        run_key=launch.run_key,
        run_config={"ops": {FULFIL_OP: {"config": fulfil_config(launch.request_ids)}}},
        tags={ACTOR_TAG: SENSOR, "convergence/requests": str(len(launch.request_ids))},
    )


def _given_up(request: UnfinishedRequest, now: datetime) -> RequestEvent:
    return RequestEvent(
        request_id=request.request_id,
        tenant_id=request.tenant_id,
        kind=request.kind,
        state=RequestState.FAILED,
        recorded_at=now,
        actor=SENSOR,
        attempt=request.attempt,
        run_id=request.run_id,
        reason=f"Look at its runs in Dagster: {request.attempt} of them were killed. Ask again when they no longer are.",
        error_code=ErrorCode.INTERNAL,
    )
