"""From what is asked and what is so to what a service says of itself.

What belongs here: `settle`, called in the transaction of every change, whoever made it, so that after a death at any moment
conditions, generations and operations are still those of one moment.
"""

from datetime import datetime

from google.cloud.run_v2 import Condition, Revision, Service

from convergence_orchestration.local_gcp import operations
from convergence_orchestration.local_gcp.cloud_run import conditions, names
from convergence_orchestration.local_gcp.cloud_run.conditions import State
from convergence_orchestration.local_gcp.cloud_run.routing import not_ready, shares_of, target_of
from convergence_orchestration.local_gcp.store import Rows


def settle(rows: Rows, service: Service, now: datetime) -> None:
    """Write the service down with the conditions that follow, and end its operations if nothing is awaited any more."""
    configuration = _configuration(rows, service)
    routes = _routes(rows, service)
    conditions.put(service, configuration, now)
    conditions.put(service, routes, now)
    # A revision that failed under an earlier change does not spoil this one: only its traffic counts.
    latest = rows.get(Revision, service.latest_created_revision)
    is_of_this_change = latest is not None and latest.generation == service.generation
    ready = conditions.overall([configuration, routes] if is_of_this_change else [routes])
    ready.last_transition_time = now
    if service.terminal_condition.state == ready.state:
        ready.last_transition_time = service.terminal_condition.last_transition_time or now
    service.terminal_condition = ready
    service.reconciling = ready.state == State.CONDITION_RECONCILING
    _name_latest_ready(rows, service)
    if not service.reconciling:
        service.observed_generation = service.generation
    rows.update(service.name, service)
    if not service.reconciling:
        _end_operations(rows, service, ready)


def _end_operations(rows: Rows, service: Service, ready: Condition) -> None:
    for operation in operations.under_way(rows, service.name):
        if ready.state == State.CONDITION_SUCCEEDED:
            operations.succeed(rows, operation, service, service)
        else:
            operations.fail(rows, operation, service, conditions.code_of(ready), ready.message)


def _configuration(rows: Rows, service: Service) -> Condition:
    latest = rows.get(Revision, service.latest_created_revision)
    if latest is None or conditions.is_ready(latest):
        return conditions.succeeded(conditions.CONFIGURATIONS_READY)
    ready = conditions.of(latest, conditions.READY)
    if ready is None or not conditions.has_failed(latest):
        return conditions.waiting(conditions.CONFIGURATIONS_READY, "Waiting for the revision to start.")
    condition = conditions.retyped(ready, conditions.CONFIGURATIONS_READY)
    condition.message = not_ready(latest, ready)
    return condition


def _routes(rows: Rows, service: Service) -> Condition:
    target = target_of(rows, service)
    if target.obstacle is not None:
        return target.obstacle
    if target.shares != shares_of(service.traffic_statuses):
        return conditions.waiting(conditions.ROUTES_READY, "Waiting for requests to be routed.")
    service.traffic_statuses = list(target.statuses)  # a target by name may have become one by LATEST
    return conditions.succeeded(conditions.ROUTES_READY)


def _name_latest_ready(rows: Rows, service: Service) -> None:
    # As in the real service, a revision without a share of the traffic is not yet the latest ready one.
    serving = {status.revision for status in service.traffic_statuses if status.percent}
    found = (rows.get(Revision, names.revision_name(service.name, name)) for name in serving)
    ready = [revision for revision in found if revision is not None]
    if ready:
        newest = max(ready, key=lambda revision: (revision.generation, revision.create_time))
        current = rows.get(Revision, service.latest_ready_revision)
        if current is None or newest.generation >= current.generation:
            service.latest_ready_revision = newest.name
