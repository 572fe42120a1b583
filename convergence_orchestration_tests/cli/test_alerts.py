"""`convergence alerts`: what it lists from a real table, and that each command's words meet the config of its job."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from dagster import validate_run_config

from convergence_orchestration.definitions import build_definitions
from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.health.alerting.model import AlertKind, Severity, Subject, alert_id_of
from convergence_orchestration.health.alerting.outbox import delivery_event
from convergence_orchestration.health.alerting.store import AlertEvents
from convergence_orchestration.settings import Settings, load_settings
from convergence_orchestration_tests.api.dagster_standin import (
    DagsterStandIn,
    Launch,
    Materializations,
    played_dagster,
)
from convergence_orchestration_tests.cli.conftest import CommandLine
from convergence_orchestration_tests.health.alerting.builders import event, silenced
from convergence_orchestration_tests.warehouse.builders import with_tables


@pytest.fixture
def dagster(convergence: CommandLine, monkeypatch: pytest.MonkeyPatch) -> Iterator[DagsterStandIn]:
    del convergence  # only so that it has cleared the environment before
    with played_dagster() as standin:
        monkeypatch.setenv("DAGSTER_URL", standin.url)
        yield standin


@pytest.fixture
def alerts(settings: Settings, convergence: CommandLine, monkeypatch: pytest.MonkeyPatch) -> AlertEvents:
    del convergence  # only so that it has cleared the environment before
    monkeypatch.setenv("GCP_PROJECT_ID", settings.gcp_project_id)
    monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", str(settings.bigquery_emulator_host))
    return AlertEvents(with_tables(settings, "alerts"))


@pytest.mark.parametrize(
    ("words", "job"),
    [
        (("silence", "service_down", "--for", "2h", "--reason", "moving"), "silence_alerts"),
        (
            (
                *("silence", "*", "--until", "2030-01-01T00:00:00Z", "--reason", "x"),
                *("--subject", "tls a", "--environment", "*"),
            ),
            "silence_alerts",
        ),
        (("unsilence", "sil_123"), "unsilence_alerts"),
        (("test",), "test_alert_channels"),
        (("test", "team"), "test_alert_channels"),
    ],
)
def test_each_command_launches_a_job_with_a_config_that_it_takes(
    convergence: CommandLine, dagster: DagsterStandIn, words: tuple[str, ...], job: str
) -> None:
    dagster.work[job] = lambda _: []

    ended = convergence("alerts", *words, "--google-cloud")

    assert ended.exit_code == 0, ended.output
    (launch,) = dagster.launches
    assert launch.tags["convergence/actor"].startswith("cli:")
    definitions = build_definitions(load_settings(_env_file=None))
    assert validate_run_config(definitions.resolve_job_def(job), launch.config)


def test_a_silence_has_one_end(convergence: CommandLine) -> None:
    for ends in ((), ("--for", "1h", "--until", "2030-01-01")):
        ended = convergence("alerts", "silence", "service_down", "--reason", "x", *ends)
        assert ended.exit_code == 2
        assert "either --for or --until" in ended.output
    assert convergence("alerts", "silence", "service_down", "--for", "long", "--reason", "x").exit_code == 2


def test_why_a_channel_did_not_take_the_message_is_said(
    convergence: CommandLine, dagster: DagsterStandIn
) -> None:
    def fails(_: Launch) -> Materializations:
        raise PermanentError(ErrorCode.FAILED_PRECONDITION, "Look at the channels: team refused it.")

    dagster.work["test_alert_channels"] = fails
    ended = convergence("alerts", "test", "--google-cloud")
    assert ended.exit_code == 1
    assert "team refused it" in ended.stderr


def test_open_alerts_are_listed_the_most_urgent_first_with_who_is_not_told(
    convergence: CommandLine, alerts: AlertEvents
) -> None:
    assert "No alert is open." in convergence("alerts", "list", "--google-cloud").stderr
    now = datetime.now(UTC)
    later = Subject("key_rotation_soon", "production", "secret x")
    opened = event(at=now, opened_at=now, alert_id="one")
    alerts.append(
        [
            event(
                at=now,
                opened_at=now,
                about_subject=later,
                severity=Severity.INFO,
                alert_id=alert_id_of(later, now),
                observed=None,
            ),
            opened,
            delivery_event(opened, "team", now),
            silenced(now + timedelta(hours=1), later, at=now),
        ]
    )

    listed = convergence("alerts", "list", "--google-cloud")
    first, second = (
        line for line in listed.stdout.splitlines() if "production" in line and "sil_1  " not in line[:8]
    )
    assert first.startswith("CRITICAL")
    assert second.startswith("INFO")
    assert "sil_1" in second
    assert "moving house" in listed.stdout
    as_json = json.loads(convergence("alerts", "list", "--google-cloud", "--json").stdout)
    assert [one["severity"] for one in as_json["alerts"]] == ["CRITICAL", "INFO"]
    assert as_json["silences"][0]["by"] == "cli:ana"


def test_what_happened_of_late_is_listed_the_newest_first(
    convergence: CommandLine, alerts: AlertEvents
) -> None:
    now = datetime.now(UTC)
    alerts.append([event(at=now - timedelta(minutes=1)), event(AlertKind.RESOLVED, now)])
    listed = json.loads(convergence("alerts", "list", "--events", "5", "--google-cloud", "--json").stdout)
    assert [one["what"] for one in listed] == ["RESOLVED", "OPENED"]
    assert "RESOLVED" in convergence("alerts", "list", "--events", "1", "--google-cloud").stdout
