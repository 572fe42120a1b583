from datetime import UTC, datetime, timedelta

import pytest

from convergence_orchestration.gcp.log_filters import Severity, Wanted, filter_of
from convergence_orchestration.local_gcp.logging.entries import Entry, Origin
from convergence_orchestration.local_gcp.logging.filters import parse
from convergence_orchestration.local_gcp.refusals import Refusal

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def an_entry(**fields: object) -> Entry:
    origin = Origin("k8s_container", {"container_name": "daemon"})
    return Entry(origin, NOON, "WARNING", "0001", fields)


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ("", True),
        ("severity >= WARNING", True),
        ("severity > WARNING", False),
        ("severity != ERROR", True),
        ('jsonPayload.tenant_id = "acme"', True),
        ("jsonPayload.tenant_id = ACME", True),
        ('jsonPayload.tenant_id != "acme"', False),
        ('jsonPayload.nobody = "acme"', False),
        ('jsonPayload.nobody != "acme"', False),
        ('NOT jsonPayload.nobody = "acme"', True),
        ("jsonPayload.status_code >= 500", True),
        ("jsonPayload.status_code < 500", False),
        ("jsonPayload.status_code = abc", False),
        ("jsonPayload.is_slow = true", True),
        ('resource.type = "k8s_container" AND resource.labels.container_name = "daemon"', True),
        ('resource.type = "k8s_container" resource.labels.container_name = "web"', False),
        ('(severity = ERROR OR jsonPayload.tenant_id = "acme") AND severity >= INFO', True),
        ("severity = ERROR OR severity = INFO", False),
        ('timestamp >= "2026-11-23T12:00:00Z"', True),
        ('timestamp > "2026-11-23T12:00:00Z"', False),
        ('timestamp < "2026-11-23T14:00:00+01:00"', True),
        ('textPayload = "x"', False),
        ('insertId = "0001"', True),
    ],
)
def test_a_filter_fits_what_it_says(text: str, fits: bool) -> None:  # noqa: FBT001 a parameter
    entry = an_entry(tenant_id="acme", status_code=503, is_slow=True)

    assert parse(text).fits(entry) is fits


@pytest.mark.parametrize(
    "value", ["plain", 'with "quotes"', "back\\slash", "two\nlines", "a) OR (b", "AND", "umlaut \u00e4"]
)
def test_what_our_client_writes_is_read_as_it_was_meant(value: str) -> None:
    wanted = Wanted(process="daemon", tenant_id=value, severity=Severity.INFO, since=NOON)
    read = parse(filter_of(wanted))

    assert read.fits(an_entry(tenant_id=value))
    assert not read.fits(an_entry(tenant_id=f"{value}."))
    assert read.since == NOON


def test_a_bound_of_time_counts_only_where_all_must_keep_it() -> None:
    later = (NOON + timedelta(hours=1)).isoformat()

    assert parse(f'timestamp >= "{NOON.isoformat()}" timestamp > "{later}"').since == NOON + timedelta(
        hours=1
    )
    assert parse(f'timestamp >= "{later}" OR severity = ERROR').since is None
    assert parse(f'NOT timestamp >= "{later}"').since is None
    assert parse(f'(timestamp >= "{later}" OR severity = INFO) severity = INFO').since is None
    assert parse(f'timestamp <= "{later}"').since is None


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ('severity >= "LOUD"', "INVALID_ARGUMENT"),
        ("severity >=", "INVALID_ARGUMENT"),
        ("(severity = INFO", "INVALID_ARGUMENT"),
        ("severity = INFO)", "INVALID_ARGUMENT"),
        ("AND severity = INFO", "INVALID_ARGUMENT"),
        ("severity = AND", "INVALID_ARGUMENT"),
        ('jsonPayload.a = "unclosed', "INVALID_ARGUMENT"),
        ("timestamp >= yesterday", "INVALID_ARGUMENT"),
        ('timestamp >= "2026-11-23T12:00:00"', "INVALID_ARGUMENT"),
        ("NOT", "INVALID_ARGUMENT"),
        ('jsonPayload.a =~ "x.*"', "UNIMPLEMENTED"),
        ("jsonPayload.a : x", "UNIMPLEMENTED"),
        ("unicorn", "UNIMPLEMENTED"),
        ("jsonPayload.a.b = 1", "UNIMPLEMENTED"),
        ("httpRequest.status = 500", "UNIMPLEMENTED"),
        ('jsonPayload.a = ("x" OR "y")', "UNIMPLEMENTED"),
    ],
)
def test_what_is_no_filter_or_not_served_is_refused(text: str, code: str) -> None:
    with pytest.raises(Refusal) as refusal:
        parse(text)

    assert refusal.value.code.name == code
