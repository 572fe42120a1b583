from datetime import UTC, datetime, timedelta, timezone

import pytest

from convergence_orchestration.gcp.log_filters import Severity, Wanted, filter_of, quoted, timestamp

BOTH = '(resource.type = "cloud_run_revision" OR resource.type = "k8s_container")'


def test_nothing_wanted_is_every_line_of_ours_and_none_of_googles() -> None:
    assert filter_of(Wanted()) == BOTH


def test_a_process_and_a_service_are_asked_for_by_their_labels() -> None:
    process = '(resource.type = "k8s_container" AND resource.labels.container_name = "daemon")'
    service = '(resource.type = "cloud_run_revision" AND resource.labels.service_name = "api-dev")'

    assert filter_of(Wanted(process="daemon")) == process
    assert filter_of(Wanted(service="api-dev")) == service
    assert filter_of(Wanted(process="daemon", service="api-dev")) == f"({service} OR {process})"


def test_every_condition_narrows_it() -> None:
    wanted = Wanted(
        severity=Severity.ERROR,
        tenant_id="acme",
        run_id="run-1",
        request_id="req-1",
        revision="api-1",
        since=datetime(2026, 11, 23, 12, tzinfo=UTC),
    )

    assert filter_of(wanted).split(" AND ") == [
        BOTH,
        'jsonPayload.tenant_id = "acme"',
        'jsonPayload.run_id = "run-1"',
        'resource.labels.revision_name = "api-1"',
        '(jsonPayload.request_id = "req-1" OR jsonPayload.tenant_request_id = "req-1")',
        "severity >= ERROR",
        'timestamp >= "2026-11-23T12:00:00.000000Z"',
    ]


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ('acme" OR severity >= DEFAULT', '"acme\\" OR severity >= DEFAULT"'),
        ("back\\slash", '"back\\\\slash"'),
        ("two\nlines\r", '"two\\nlines\\r"'),
    ],
)
def test_a_value_cannot_leave_its_quotes(value: str, written: str) -> None:
    assert quoted(value) == written


def test_times_are_written_in_utc() -> None:
    at = datetime(2026, 11, 23, 12, tzinfo=timezone(timedelta(hours=2)))

    assert timestamp(at) == "2026-11-23T10:00:00.000000Z"
