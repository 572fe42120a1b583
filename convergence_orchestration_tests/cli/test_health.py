import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from convergence_orchestration.health.model import Measure, ProbeName, ProbeStatus
from convergence_orchestration.health.store import HealthChecks
from convergence_orchestration.settings import Settings
from convergence_orchestration_tests.cli.conftest import CommandLine
from convergence_orchestration_tests.emulators import Emulator
from convergence_orchestration_tests.health.builders import result
from convergence_orchestration_tests.warehouse.builders import with_tables


@pytest.fixture
def checks(settings: Settings, convergence: CommandLine, monkeypatch: pytest.MonkeyPatch) -> HealthChecks:
    del convergence  # only so that it has cleared the environment before
    monkeypatch.setenv("GCP_PROJECT_ID", settings.gcp_project_id)
    monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", str(settings.bigquery_emulator_host))
    return HealthChecks(with_tables(settings, "health_checks"))


def test_what_the_probes_found_last_is_shown(checks: HealthChecks, convergence: CommandLine) -> None:
    now = datetime.now(UTC)
    good = result(ProbeStatus.HEALTHY, now, measured={Measure.TRAFFIC_PERCENT: 10.0}, latency_ms=12.4)
    old = result(ProbeStatus.UNHEALTHY, now - timedelta(hours=1), ProbeName.TLS)
    checks.append([good, old], "run-1")

    ended = convergence("health", "--google-cloud")
    assert ended.exit_code == 0, ended.stderr
    assert "api_live" in ended.stdout
    assert "traffic_percent 10" in ended.stdout
    assert "tls" not in ended.stdout

    checks.append([replace(good, status=ProbeStatus.UNKNOWN, message="No answer.")], "run-2")
    checks.append([replace(old, at=now)], "run-3")
    ended = convergence("health", "--google-cloud", "--json")
    assert ended.exit_code == 1
    shown = {one["probe"]: one for one in json.loads(ended.stdout)}
    assert shown["tls"]["status"] == "UNHEALTHY"
    assert shown["api_live"]["measured"] == {"traffic_percent": 10.0}


def test_that_nobody_looked_is_no_health(checks: HealthChecks, convergence: CommandLine) -> None:
    del checks
    ended = convergence("health", "--google-cloud", "--environment", "staging", "--minutes", "5")
    assert ended.exit_code == 1
    assert "Nobody looked for 5 min" in ended.stderr


def test_levels_that_are_not_known_are_shown_so(
    local_gcp: Emulator, settings: Settings, convergence: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GCP_PROJECT_ID", settings.gcp_project_id)
    monkeypatch.setenv("MONITORING_EMULATOR_HOST", local_gcp.grpc_address)

    ended = convergence("slo", "--google-cloud", "--window", "5m", "--environment", "staging")
    assert ended.exit_code == 0, ended.stderr
    assert "unknown: availability, p95, p99, errors" in ended.stdout
    assert "Nothing was counted" in ended.stderr

    ended = convergence("slo", "--google-cloud", "--json")
    (whole,) = json.loads(ended.stdout)
    assert (whole["service"], whole["window"], whole["requests"]) == ("convergence-api-dev", "1h", None)


def test_an_environment_that_there_is_not_is_refused(convergence: CommandLine) -> None:
    ended = convergence("slo", "--google-cloud", "--environment", "moon")
    assert ended.exit_code == 1
    assert "Name an environment" in ended.stderr
