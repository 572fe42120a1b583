"""A run whose worker is gone gets its final state, in an order that loses no retry.

What belongs here: what Dagster is told of a dead worker, by the server's child (`cold.py`) and by run monitoring. Whether a
worker is dead is decided elsewhere.
"""

from dagster import DagsterInstance, DagsterRunStatus
from dagster._core.events import DagsterEvent, DagsterEventType, JobFailureData, RunFailureReason
from dagster._core.instance.ref import InstanceRef
from dagster._serdes import deserialize_value

from convergence_orchestration.launching.model import LaunchRequest


def report_request(request: LaunchRequest, message: str) -> None:
    """`report` for a process that has no instance yet."""
    with DagsterInstance.from_ref(deserialize_value(request.instance_ref, InstanceRef)) as instance:
        report(instance, request.run_id, message)


def report(instance: DagsterInstance, run_id: str, message: str) -> None:
    """Mark a run as canceled if that was asked for, else as failed; one that has a final state, or is deleted, keeps it."""
    run = instance.get_run_by_id(run_id)
    if run is None or run.is_finished:
        return
    if run.status == DagsterRunStatus.CANCELING:
        instance.report_run_canceled(run, message=message)
        return
    instance.report_engine_event(message, run)
    failure = JobFailureData(error=None, failure_reason=RunFailureReason.UNEXPECTED_TERMINATION)
    kind = DagsterEventType.RUN_FAILURE.value
    event = DagsterEvent(kind, run.job_name, message=message, event_specific_data=failure)
    # the row first: Dagster's retries pass over, for good, a run whose failure they read before its row says so
    instance.run_storage.handle_run_event(run.run_id, event)
    instance.report_run_failed(run, message, failure)
