"""Alerts in Dagster: the sensor's tick, and the jobs, over both emulators and a real webhook."""

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest
from dagster._core.definitions.job_base import RepoBackedJob
from dagster._core.execution.api import execute_run_iterator

from convergence_orchestration.definitions import build_definitions
from convergence_orchestration.gcp.bigquery import BigQuery
from convergence_orchestration.gcp.clients import bigquery_client, secret_manager_client
from convergence_orchestration.gcp.secrets import Secrets
from convergence_orchestration.health.alerting.channels import channels_secret_id
from convergence_orchestration.health.alerting.history import fold
from convergence_orchestration.health.alerting.model import AlertEvent
from convergence_orchestration.health.alerting.sensors import alert_sensor
from convergence_orchestration.health.alerting.store import AlertEvents
from convergence_orchestration.settings import Settings
from convergence_orchestration_tests.emulators import Emulator, free_port
from convergence_orchestration_tests.health.alerting.receiver import Receiver, receiving
from convergence_orchestration_tests.warehouse.builders import with_tables


@pytest.fixture(scope="module")
def webhook() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


@pytest.fixture
def bare(settings: Settings, local_gcp: Emulator, webhook: Receiver) -> Settings:
    """A project in which nothing was released and nothing bootstrapped, whose team has a channel."""
    webhook.told.clear()
    hosts = ("run_emulator_host", "build_emulator_host", "monitoring_emulator_host")
    made = settings.model_copy(update=dict.fromkeys(hosts, local_gcp.grpc_address))
    secrets = Secrets(secret_manager_client(made), made.gcp_project_id)
    secrets.ensure_secret(channels_secret_id(made.environment))
    declared = json.dumps([{"name": "team", "url": webhook.url}])
    secrets.add_version(channels_secret_id(made.environment), declared.encode())
    return made


@pytest.fixture
def own(bare: Settings) -> Settings:
    """The same, bootstrapped."""
    with_tables(bare, "alerts", "audit_log", "health_checks", "release_events", "tenant_requests")
    return bare


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as one:
        yield one


def tick(settings: Settings, instance: dg.DagsterInstance, cursor: str | None = None) -> tuple[str, str]:
    """One tick of the sensor; what it says and what it keeps."""
    resources = build_definitions(settings).resources or {}
    wanted = {name: resources[name] for name in ("alerts", "environments", "releases", "bigquery")}
    with dg.build_sensor_context(instance=instance, cursor=cursor, resources=wanted) as context:
        result = alert_sensor(context)
    assert isinstance(result, dg.SensorResult)
    assert result.skip_reason is not None
    return result.skip_reason.skip_message or "", result.cursor or ""


def executed(
    settings: Settings, instance: dg.DagsterInstance, job: str, op: str, config: Mapping[str, object]
) -> dg.DagsterRun:
    """The run as a worker executes it: with the code location around the job."""
    found = RepoBackedJob(job, build_definitions(settings).get_repository_def())
    run_config = {"ops": {op: {"config": dict(config)}}} if config else {}
    run = instance.create_run_for_job(
        found.get_definition(), run_config=run_config, tags={"convergence/actor": "cli:ana"}
    )
    for _ in execute_run_iterator(found, run, instance):
        pass
    ended = instance.get_run_by_id(run.run_id)
    assert ended is not None
    return ended


def events_of(settings: Settings) -> list[AlertEvent]:
    return AlertEvents(BigQuery(bigquery_client(settings))).remembered(datetime.now(UTC))


def a_run_fails(instance: dg.DagsterInstance) -> None:
    @dg.op
    def fail() -> None:
        raise dg.Failure("It was meant to.", allow_retries=False)

    @dg.job
    def broken() -> None:
        fail()

    assert not broken.execute_in_process(instance=instance, raise_on_error=False).success


def test_before_the_bootstrap_the_sensor_waits(
    bare: Settings, instance: dg.DagsterInstance, webhook: Receiver
) -> None:
    said, kept = tick(bare, instance)
    assert said.startswith("Bootstrap the platform first")
    for _ in range(2):
        said, kept = tick(bare, instance, kept)
    assert webhook.told == []


def test_a_tick_tells_what_is_wrong_and_a_silence_keeps_it_from_being_told(
    own: Settings, instance: dg.DagsterInstance, webhook: Receiver
) -> None:
    said, kept = tick(own, instance)
    assert [(event.kind, event.about_subject, event.message) for event in events_of(own)] == []
    assert said == "0 alerts are open, 0 events are new, 0 messages were sent."
    a_run_fails(instance)
    said, kept = tick(own, instance, kept)
    assert said == "1 alerts are open, 1 events are new, 2 messages were sent."
    assert webhook.titles == ["[WARNING] runs_failing opened: broken (development)"]

    until = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    config = {"rule": "runs_failing", "until": until, "reason": "we know"}
    assert executed(own, instance, "silence_alerts", "silence", config).is_success
    (silence,) = fold(events_of(own), datetime.now(UTC)).silences
    assert (silence.actor, silence.reason, silence.covered.environment) == (
        "cli:ana",
        "we know",
        "development",
    )

    assert executed(
        own, instance, "unsilence_alerts", "unsilence", {"silence": silence.silence_id}
    ).is_success
    assert fold(events_of(own), datetime.now(UTC)).silences == ()
    assert executed(own, instance, "evaluate_alerts", "evaluate", {}).is_success
    assert len(webhook.told) == 1


def test_a_wrong_wish_fails_with_what_to_do(own: Settings, instance: dg.DagsterInstance) -> None:
    config = {"rule": "nothing", "until": "2030-01-01", "reason": "x"}
    assert executed(own, instance, "silence_alerts", "silence", config).is_failure
    assert executed(own, instance, "unsilence_alerts", "unsilence", {"silence": "sil_none"}).is_failure


def test_channels_can_be_tried(own: Settings, instance: dg.DagsterInstance, webhook: Receiver) -> None:
    job, op = "test_alert_channels", "send_test_messages"
    assert executed(own, instance, job, op, {}).is_success
    assert webhook.titles == ["[TEST] alerts of development reach you"]
    webhook.is_down = True
    try:
        assert executed(own, instance, job, op, {"channel": "team"}).is_failure
        assert executed(own, instance, job, op, {"channel": "log"}).is_success
    finally:
        webhook.is_down = False


def test_when_alerts_cannot_be_evaluated_the_channels_are_told_once_and_when_they_can_again(
    own: Settings, instance: dg.DagsterInstance, webhook: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("convergence_orchestration.gcp.bigquery.TOTAL_SECONDS", 0.2)
    nobody = own.model_copy(update={"bigquery_emulator_host": f"http://127.0.0.1:{free_port()}"})
    kept = None
    for _ in range(3):
        said, kept = tick(nobody, instance, kept)
        assert said.startswith("Alerts could not be evaluated: ")
    tick(own, instance, kept)
    assert webhook.titles == [
        "[CRITICAL] alerts cannot be evaluated (development)",
        "[CRITICAL] alerts are evaluated again (development)",
    ]
