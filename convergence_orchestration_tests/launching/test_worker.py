"""What a worker does with Dagster, in this process."""

import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from dagster import DagsterInstance, DagsterRun, DagsterRunStatus
from dagster._serdes import serialize_value

from convergence_orchestration.launching.model import CodeLocation, LaunchRequest
from convergence_orchestration.launching.records import RunRecords
from convergence_orchestration.launching.worker import execute
from convergence_orchestration_tests.launching.builders import NOBODY, records_in


@pytest.fixture(autouse=True)
def signal_handlers_are_put_back() -> Iterator[None]:
    """A worker has a process of its own and keeps what it sets."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[DagsterInstance]:
    (tmp_path / "dagster.yaml").write_text("telemetry: {enabled: false}")
    with DagsterInstance.from_config(str(tmp_path)) as made:
        yield made


@pytest.fixture
def records(tmp_path: Path) -> RunRecords:
    return records_in(tmp_path)


def asked(instance: DagsterInstance, status: DagsterRunStatus) -> LaunchRequest:
    run = instance.add_run(DagsterRun("job", status=status))
    location = CodeLocation("tested", sys.executable, origin="", working_directory="/")
    return LaunchRequest(run.run_id, "job", location, serialize_value(instance.get_ref()), accepted_at=1)


def status_of(instance: DagsterInstance, request: LaunchRequest) -> DagsterRunStatus:
    run = instance.get_run_by_id(request.run_id)
    assert run is not None
    return run.status


def test_a_run_that_is_not_asked_for_any_more_is_left_alone(
    instance: DagsterInstance, records: RunRecords
) -> None:
    request = asked(instance, DagsterRunStatus.STARTING)

    assert execute(records, request.run_id) == 0

    assert records.worker(request.run_id) is None
    assert status_of(instance, request) is DagsterRunStatus.STARTING


def test_a_run_that_another_process_has_is_left_alone(instance: DagsterInstance, records: RunRecords) -> None:
    request = asked(instance, DagsterRunStatus.STARTING)
    records.accept(request)
    records.claim(request.run_id, NOBODY)

    assert execute(records, request.run_id) == 0

    assert status_of(instance, request) is DagsterRunStatus.STARTING


def test_a_run_canceled_while_it_waited_is_not_executed(
    instance: DagsterInstance, records: RunRecords
) -> None:
    request = asked(instance, DagsterRunStatus.CANCELING)
    records.accept(request)

    assert execute(records, request.run_id) == 0

    assert status_of(instance, request) is DagsterRunStatus.CANCELED
    record = records.worker(request.run_id)
    assert record is not None
    assert record.is_finished


def test_a_run_deleted_while_it_waited_is_done_with(instance: DagsterInstance, records: RunRecords) -> None:
    request = asked(instance, DagsterRunStatus.STARTING)
    records.accept(request)
    instance.delete_run(request.run_id)

    assert execute(records, request.run_id) == 0
