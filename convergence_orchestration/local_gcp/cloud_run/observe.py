"""What the node reports of what runs.

What belongs here: one function for each thing that can be seen of a revision or a service, to be called in a transaction
of its own. Each may be repeated: the second time it changes nothing.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from google.cloud.run_v2 import Revision, Service

from convergence_orchestration.local_gcp import operations
from convergence_orchestration.local_gcp.cloud_run import conditions, names
from convergence_orchestration.local_gcp.cloud_run.conditions import State
from convergence_orchestration.local_gcp.cloud_run.reconcile import settle
from convergence_orchestration.local_gcp.cloud_run.routing import Share, target_of
from convergence_orchestration.local_gcp.iam import delete_policy
from convergence_orchestration.local_gcp.store import Rows

_ALL = (
    conditions.READY,
    conditions.CONTAINER_READY,
    conditions.CONTAINER_HEALTHY,
    conditions.RESOURCES_AVAILABLE,
)
_BATCH = 1000


def revision_is_ready(rows: Rows, name: str, now: datetime) -> None:
    """An instance of a new revision passed its start-up probe."""
    revision = _undecided(rows, name)
    if revision is None:
        return
    for type_ in _ALL:
        conditions.put(revision, conditions.succeeded(type_), now)
    _decided(rows, revision, now)


def revision_failed(rows: Rows, name: str, message: str, reason: Any, now: datetime) -> None:  # noqa: ANN401 an enum
    """No instance of a new revision came up: it will not be tried again."""
    revision = _undecided(rows, name)
    if revision is None:
        return
    for type_ in (conditions.READY, conditions.CONTAINER_HEALTHY):
        conditions.put(revision, conditions.failed(type_, message, reason), now)
    _decided(rows, revision, now)


def revision_health(rows: Rows, name: str, problem: str, now: datetime) -> None:
    """The instances of a revision that was ready keep ending (`problem` says how), or ("") do so no longer."""
    revision = rows.get(Revision, name)
    if revision is None or not conditions.is_ready(revision):
        return
    healthy = conditions.succeeded(conditions.CONTAINER_HEALTHY)
    if problem:
        reason = conditions.RevisionReason.HEALTH_CHECK_CONTAINER_ERROR
        healthy = conditions.failed(conditions.CONTAINER_HEALTHY, problem, reason)
    before = conditions.of(revision, conditions.CONTAINER_HEALTHY)
    if before is None or (before.state, before.message) != (healthy.state, healthy.message):
        conditions.put(revision, healthy, now)
        revision.update_time = now
        rows.update(name, revision)


def requests_are_routed(rows: Rows, name: str, shares: Mapping[str, Share], now: datetime) -> None:
    """Every new request of the service follows these shares, by short name of the revision."""
    service = rows.get(Service, name)
    if service is None or service.delete_time:
        return
    target = target_of(rows, service)
    if target.obstacle is not None or target.shares != shares:
        return
    service.traffic_statuses = list(target.statuses)
    settle(rows, service, now)


def service_is_gone(rows: Rows, name: str) -> None:
    """Nothing of a service that is being deleted is served or runs any more."""
    service = rows.get(Service, name)
    if service is None or not service.delete_time:
        return
    for _, revision in rows.oldest_first(Revision, name, 0, _BATCH):
        rows.delete(Revision, revision.name)
    rows.delete(Service, name)
    delete_policy(rows, name)
    for operation in operations.under_way(rows, name):
        operations.succeed(rows, operation, service, service)


def _undecided(rows: Rows, name: str) -> Revision | None:
    revision = rows.get(Revision, name)
    if revision is None or conditions.is_in(
        revision, conditions.READY, State.CONDITION_SUCCEEDED, State.CONDITION_FAILED
    ):
        return None
    return revision


def _decided(rows: Rows, revision: Revision, now: datetime) -> None:
    revision.reconciling = False
    revision.observed_generation = revision.generation
    revision.update_time = now
    rows.update(revision.name, revision)
    service = rows.get(Service, names.service_of(revision.name))
    if service is not None and not service.delete_time:
        settle(rows, service, now)
