from dataclasses import replace
from datetime import timedelta

import pytest

from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.gcp.bigquery import BigQuery
from convergence_orchestration.gcp.clients import bigquery_client
from convergence_orchestration.health.model import Measure, ProbeName, ProbeStatus
from convergence_orchestration.health.store import HealthChecks, result_of, row_of
from convergence_orchestration.settings import Settings
from convergence_orchestration_tests.health.builders import NOW, result

MINUTE = timedelta(minutes=1)
FULL = result(
    ProbeStatus.UNHEALTHY,
    NOW - MINUTE,
    ProbeName.TLS,
    environment="staging",
    revision="api-1",
    latency_ms=12.5,
    status_code=503,
    message="It has expired.",
    measured={Measure.DAYS_LEFT: -7.0},
)


def test_results_come_back_as_they_were_and_a_repeated_append_counts_once(bigquery: BigQuery) -> None:
    checks = HealthChecks(bigquery)
    bare = result(ProbeStatus.UNKNOWN, NOW - 2 * MINUTE, environment="staging")
    newer = replace(bare, status=ProbeStatus.HEALTHY, at=NOW)

    checks.append([FULL, bare], "store-1")
    checks.append([replace(FULL, at=NOW), bare], "store-1")
    checks.append([newer], "store-2")
    checks.append([], "store-3")

    assert checks.history(NOW - 5 * MINUTE, "staging") == [bare, FULL, newer]
    assert checks.history(NOW, "staging") == [newer]
    assert checks.history(NOW - 5 * MINUTE, "production") == []
    assert checks.latest(NOW - 5 * MINUTE, "staging") == [newer, FULL]
    assert newer in checks.latest(NOW - 5 * MINUTE)


def test_before_the_bootstrap_it_says_what_to_do(settings: Settings) -> None:
    checks = HealthChecks(BigQuery(bigquery_client(settings)))
    for act in (lambda: checks.append([FULL], "run"), lambda: checks.latest(NOW)):
        with pytest.raises(PermanentError, match="Bootstrap the platform first") as raised:
            act()
        assert raised.value.code is ErrorCode.NOT_BOOTSTRAPPED


def test_what_a_newer_version_wrote_is_left_out() -> None:
    row = {"revision": None, "latency_ms": None, "status_code": None, **row_of(FULL, "run")}
    assert result_of(row) == FULL
    assert result_of({**row, "probe": "horoscope"}) is None
    assert result_of({**row, "status": "SLEEPY"}) is None
    known = result_of({**row, "measured": '{"days_left": 3, "mood": 1}', "message": None})
    assert known == replace(FULL, measured={Measure.DAYS_LEFT: 3.0}, message="")
