"""What Dagster is told of a run whose worker is gone."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from dagster import DagsterInstance, DagsterRun, DagsterRunStatus, EventLogEntry
from dagster._core.storage.tags import RUN_FAILURE_REASON_TAG, WILL_RETRY_TAG
from dagster._serdes import serialize_value

from convergence_orchestration.launching.lost import report, report_request
from convergence_orchestration.launching.model import CodeLocation, LaunchRequest


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[DagsterInstance]:
    (tmp_path / "dagster.yaml").write_text(
        "{telemetry: {enabled: false}, run_retries: {enabled: true, max_retries: 1}}"
    )
    with DagsterInstance.from_config(str(tmp_path)) as made:
        yield made


def run_in(instance: DagsterInstance, status: DagsterRunStatus) -> str:
    return instance.add_run(DagsterRun("job", status=status)).run_id


def status_of(instance: DagsterInstance, run_id: str) -> DagsterRunStatus:
    run = instance.get_run_by_id(run_id)
    assert run is not None
    return run.status


def test_a_lost_run_fails_once_with_the_reason_and_will_be_retried(instance: DagsterInstance) -> None:
    run_id = run_in(instance, DagsterRunStatus.STARTED)

    report(instance, run_id, "The worker was killed.")
    report(instance, run_id, "The worker was killed.")

    assert [event.message for event in instance.all_logs(run_id)] == ["The worker was killed."] * 2
    run = instance.get_run_by_id(run_id)
    assert run is not None
    assert run.status is DagsterRunStatus.FAILURE
    assert run.tags[RUN_FAILURE_REASON_TAG] == "UNEXPECTED_TERMINATION"
    assert run.tags[WILL_RETRY_TAG] == "true"


def test_whoever_reads_the_failure_event_finds_the_row_failed(instance: DagsterInstance) -> None:
    run_id = run_in(instance, DagsterRunStatus.STARTED)
    seen: list[DagsterRunStatus] = []
    store = instance.event_log_storage.store_event

    def look_then_store(event: EventLogEntry) -> None:
        if event.is_dagster_event and event.get_dagster_event().is_run_failure:
            seen.append(status_of(instance, run_id))
        store(event)

    instance.event_log_storage.store_event = look_then_store  # type: ignore[method-assign]

    report(instance, run_id, "The worker was killed.")

    assert seen == [DagsterRunStatus.FAILURE]


def test_a_lost_run_that_was_to_be_canceled_is_canceled(instance: DagsterInstance) -> None:
    run_id = run_in(instance, DagsterRunStatus.CANCELING)

    report(instance, run_id, "The worker was killed.")

    assert status_of(instance, run_id) is DagsterRunStatus.CANCELED


def test_a_deleted_run_needs_no_report(instance: DagsterInstance) -> None:
    run_id = run_in(instance, DagsterRunStatus.STARTED)
    instance.delete_run(run_id)

    report(instance, run_id, "The worker was killed.")

    assert instance.get_run_by_id(run_id) is None


def test_a_process_without_an_instance_makes_one_from_the_request(instance: DagsterInstance) -> None:
    run_id = run_in(instance, DagsterRunStatus.STARTED)
    location = CodeLocation("tested", sys.executable, origin="", working_directory="/")
    request = LaunchRequest(run_id, "job", location, serialize_value(instance.get_ref()), accepted_at=1)

    report_request(request, "The worker was killed.")

    assert status_of(instance, run_id) is DagsterRunStatus.FAILURE
