"""The sensor against a real instance of Dagster and the emulator; runs are only written down, none is executed."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest

from convergence_orchestration.errors import ErrorCode
from convergence_orchestration.gcp.bigquery import BigQuery
from convergence_orchestration.gcp.resources import settings_resources
from convergence_orchestration.settings import Settings
from convergence_orchestration.tenancy import sensors
from convergence_orchestration.tenancy.asked import Suspension, kind_of
from convergence_orchestration.tenancy.by_hand.jobs import suspend_tenant
from convergence_orchestration.tenancy.jobs import fulfil_tenant_requests
from convergence_orchestration.tenancy.model import TenantId
from convergence_orchestration.tenancy.request_model import (
    RequestEvent,
    RequestId,
    RequestState,
    new_request_id,
    request_id_of_run,
)
from convergence_orchestration.tenancy.requests import TenantRequests
from convergence_orchestration.tenancy.resources import tenancy_resources
from convergence_orchestration.tenancy.retries import MOST_ATTEMPTS
from convergence_orchestration.tenancy.sensors import tenant_request_sensor
from convergence_orchestration_tests.emulators import EmulatedSettings, fresh_project_id

REQUESTED, RUNNING, DONE, _ = RequestState
MINUTE_AGO = timedelta(minutes=1)


@dataclass
class Look:
    """What one tick said."""

    runs: list[list[RequestId]]
    run_keys: list[str | None]
    words: str

    @property
    def launched(self) -> set[RequestId]:
        """The requests that get a run."""
        return {request_id for run in self.runs for request_id in run}


class Sensor:
    """Ticks against one instance; the cursor goes from one tick to the next."""

    def __init__(self, settings: Settings, instance: dg.DagsterInstance) -> None:
        self.settings = settings
        self.instance = instance
        self.cursor: str | None = None

    def look(self) -> Look:
        resources = {**settings_resources(self.settings), **tenancy_resources(self.settings)}
        with dg.build_sensor_context(
            instance=self.instance,
            cursor=self.cursor,
            resources={name: resources[name] for name in ("bigquery", "tenant_requests")},
        ) as context:
            result = tenant_request_sensor(context)
        if isinstance(result, dg.SkipReason):
            return Look([], [], result.skip_message or "")
        assert isinstance(result, dg.SensorResult)
        self.cursor = result.cursor
        requests = result.run_requests or []
        return Look(
            [list(each.run_config["ops"]["fulfil"]["config"]["request_ids"]) for each in requests],
            [each.run_key for each in requests],
            str(result.skip_reason.skip_message if result.skip_reason else ""),
        )

    def made(self, status: dg.DagsterRunStatus, *request_ids: RequestId) -> dg.DagsterRun:
        """A run that carries out these requests, as far as Dagster knows."""
        config = {"ops": {"fulfil": {"config": {"request_ids": list(request_ids)}}}}
        return self.instance.create_run_for_job(fulfil_tenant_requests, run_config=config, status=status)

    def made_by_hand(self) -> dg.DagsterRun:
        config = {"ops": {"suspend": {"config": {"tenant_id": "by_hand"}}}}
        return self.instance.create_run_for_job(
            suspend_tenant, run_config=config, status=dg.DagsterRunStatus.STARTED
        )


@pytest.fixture
def sensor(project: Settings, bigquery: BigQuery) -> Iterator[Sensor]:
    assert bigquery.project == project.gcp_project_id
    with dg.DagsterInstance.ephemeral() as instance:
        yield Sensor(project, instance)


def written(
    bigquery: BigQuery, *states: RequestState, ago: timedelta = MINUTE_AGO, attempt: int = 1
) -> RequestId:
    """A request with these events, by which it was last heard of that long ago."""
    request_id = new_request_id()
    asked = Suspension(TenantId(f"t_{request_id[4:20]}"))
    events = [
        RequestEvent(
            request_id,
            asked.tenant_id,
            kind_of(asked),
            state,
            datetime.now(UTC) - ago,
            "somebody",
            attempt=attempt,
            parameters=asked if state is RequestState.REQUESTED else None,
        )
        for state in states
    ]
    TenantRequests(bigquery).append(*events)
    return request_id


def test_what_nobody_launched_is_launched_and_what_is_done_is_not(sensor: Sensor, bigquery: BigQuery) -> None:
    waiting, done = written(bigquery, REQUESTED), written(bigquery, REQUESTED, RUNNING, DONE)
    fresh = written(bigquery, REQUESTED, ago=timedelta())
    found = sensor.look()
    assert waiting in found.launched
    assert not {done, fresh} & found.launched


def test_a_request_whose_run_lives_is_left_to_it_and_launched_when_the_run_has_died(
    sensor: Sensor, bigquery: BigQuery
) -> None:
    one = written(bigquery, REQUESTED, RUNNING)
    run = sensor.made(dg.DagsterRunStatus.STARTED, one)
    assert one not in sensor.look().launched
    sensor.instance.report_run_failed(run)
    assert one in sensor.look().launched


def test_a_run_that_dagster_is_about_to_retry_keeps_its_requests_for_a_while(
    sensor: Sensor, bigquery: BigQuery, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = written(bigquery, REQUESTED, RUNNING)
    run = sensor.made(dg.DagsterRunStatus.STARTED, one)
    sensor.instance.report_run_failed(run)
    sensor.instance.add_run_tags(run.run_id, {"dagster/will_retry": "true"})
    assert one not in sensor.look().launched
    monkeypatch.setattr(sensors, "RETRIED_WITHIN", timedelta())
    assert one in sensor.look().launched, "the retry never came"
    monkeypatch.undo()
    sensor.instance.add_run_tags(run.run_id, {"dagster/auto_retry_run_id": "another run"})
    assert one in sensor.look().launched, "the retry came and is gone as well"


def test_a_request_that_a_form_carries_out_is_left_to_its_run(sensor: Sensor, bigquery: BigQuery) -> None:
    run = sensor.made_by_hand()
    request_id = request_id_of_run(run.run_id)
    asked = Suspension(TenantId("by_hand"))
    TenantRequests(bigquery).append(
        RequestEvent(
            request_id,
            asked.tenant_id,
            kind_of(asked),
            REQUESTED,
            datetime.now(UTC) - MINUTE_AGO,
            "x",
            parameters=asked,
        )
    )
    assert request_id not in sensor.look().launched
    sensor.instance.report_run_canceled(run)
    assert request_id in sensor.look().launched


def test_a_run_that_was_made_and_never_launched_does_not_hold_its_requests_for_ever(
    sensor: Sensor, bigquery: BigQuery, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = written(bigquery, REQUESTED)
    sensor.made(dg.DagsterRunStatus.NOT_STARTED, one)
    assert one not in sensor.look().launched
    monkeypatch.setattr(sensors, "NEVER_LAUNCHED_AFTER", timedelta())
    assert one in sensor.look().launched


def test_what_run_after_run_was_killed_over_is_given_up_and_says_so(
    sensor: Sensor, bigquery: BigQuery
) -> None:
    one = written(bigquery, REQUESTED, RUNNING, attempt=MOST_ATTEMPTS)
    assert one not in sensor.look().launched
    request = TenantRequests(bigquery).get(one)
    assert request is not None
    assert (request.state, request.error_code) == (RequestState.FAILED, ErrorCode.INTERNAL)
    assert str(MOST_ATTEMPTS) in (request.reason or "")


def test_the_next_look_misses_nothing_that_is_unfinished(sensor: Sensor, bigquery: BigQuery) -> None:
    old = written(bigquery, REQUESTED, ago=timedelta(days=3))
    assert old in sensor.look().launched
    assert old in sensor.look().launched, "its run died before it said a word"
    assert sensor.cursor is not None
    assert datetime.fromisoformat(json.loads(sensor.cursor)["since"]) < datetime.now(UTC) - timedelta(days=3)


def test_many_requests_go_in_few_runs(project: Settings, bigquery: BigQuery) -> None:
    for _ in range(3):
        written(bigquery, REQUESTED)
    with dg.DagsterInstance.ephemeral() as instance:
        found = Sensor(project.model_copy(update={"requests_per_run": 1}), instance).look()
    assert [len(ids) for ids in found.runs] == [1, 1]
    assert len(set(found.run_keys)) == 2


def test_a_platform_that_is_not_bootstrapped_is_left_alone(emulated_settings: EmulatedSettings) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        found = Sensor(emulated_settings(fresh_project_id()), instance).look()
    assert (found.runs, found.words) == ([], "The platform is not bootstrapped yet.")
