from datetime import UTC, datetime

import pytest
import yaml

from convergence_orchestration.errors import TransientError
from convergence_orchestration.gcp.bigquery import BigQuery
from convergence_orchestration.gcp.sql import bytes_billed
from convergence_orchestration.health.model import Measure, ProbeStatus
from convergence_orchestration.health.probes.google import judged, query_and_quota
from convergence_orchestration_tests.emulators import Emulator

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
HEALTHY, UNHEALTHY, UNKNOWN = ProbeStatus.HEALTHY, ProbeStatus.UNHEALTHY, ProbeStatus.UNKNOWN
GIB = 2**30


def statuses(bigquery: BigQuery, most_bytes: int | None = None) -> list[ProbeStatus]:
    return [one.status for one in query_and_quota(bigquery, most_bytes, NOW)]


def test_a_query_that_a_quota_refuses_is_unhealthy_and_one_that_nobody_answers_unknown(
    bigquery: BigQuery, local_bigquery: Emulator
) -> None:
    assert statuses(bigquery) == [HEALTHY, HEALTHY]
    impatient = BigQuery(bigquery.client, 0.2, 0.2)
    try:
        local_bigquery.faults_file.write_text(yaml.safe_dump([{"method": "POST */queries", "code": 429}]))
        assert statuses(impatient) == [UNHEALTHY, UNHEALTHY]
        local_bigquery.faults_file.write_text(yaml.safe_dump([{"method": "POST */queries", "code": 503}]))
        with pytest.raises(TransientError):
            statuses(impatient)
    finally:
        local_bigquery.faults_file.unlink()


def test_bytes_that_cannot_be_asked_for_are_unknown(bigquery: BigQuery) -> None:
    assert statuses(bigquery, GIB) == [HEALTHY, UNKNOWN]  # local-bigquery bills nobody


def test_a_days_bytes_are_judged_by_their_share() -> None:
    used = judged(GIB // 2, GIB)
    assert (used.status, used.measured) == (HEALTHY, {Measure.USED_SHARE: 0.5})
    assert used.message == "0.50 GiB of 1 GiB a day are billed since midnight UTC."
    assert judged(GIB, GIB).status is UNHEALTHY
    assert judged(None, GIB).status is UNKNOWN


def test_the_statement_names_the_region() -> None:
    assert "`platform.region-eu`.INFORMATION_SCHEMA.JOBS" in bytes_billed("platform", "EU")
