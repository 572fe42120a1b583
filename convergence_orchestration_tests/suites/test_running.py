from datetime import UTC, datetime
from xml.etree import ElementTree as ET

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.suites import junit
from convergence_orchestration.suites.model import (
    CASES,
    CaseResult,
    Outcome,
    SuiteReport,
    Target,
    parse_target,
)
from convergence_orchestration.suites.running import SUITES, SuiteName, run
from convergence_orchestration.suites.visiting import MadeTenant, WriteRefusedError, refuse_writes

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)
NOBODY = Target("http://127.0.0.1:9", SecretStr("admin_key_for_nobody"))


@pytest.mark.parametrize("name", SuiteName)
def test_each_suite_has_the_guides_ten_tests_by_number(name: SuiteName) -> None:
    assert [case.number for case in SUITES[name].cases] == list(range(1, CASES + 1))
    assert len({case.slug for case in SUITES[name].cases}) == CASES


@pytest.mark.parametrize("name", SuiteName)
def test_where_nobody_answers_no_test_passes_and_each_says_so(name: SuiteName) -> None:
    told: list[CaseResult] = []
    report = run(name, NOBODY, lambda: NOON, told.append)

    assert not report.passed
    assert tuple(told) == report.results
    assert {each.outcome for each in report.results} <= {Outcome.ERROR, Outcome.FAILED}
    said = {each.detail for each in report.results}
    assert any("http://127.0.0.1:9 could not be reached: " in each and "refused" in each for each in said)
    assert "admin_key_for_nobody" not in repr(report)


def test_a_report_is_written_for_ci_servers() -> None:
    results = (
        CaseResult(1, "Health check", "health_check", Outcome.PASSED, 0.5),
        CaseResult(2, "CORS <configuration>", "cors", Outcome.FAILED, 1.5, 'It says "*" & more.'),
        CaseResult(3, "TLS", "tls", Outcome.ERROR, 0.25, "Nobody answered."),
    )
    root = ET.fromstring(junit.text_of(SuiteReport("staging", "https://api.example", NOON, results)))  # noqa: S314 ours

    assert (root.attrib["tests"], root.attrib["failures"], root.attrib["errors"]) == ("3", "1", "1")
    assert [case.attrib["name"] for case in root] == ["01 Health check", "02 CORS <configuration>", "03 TLS"]
    assert [[child.tag for child in case] for case in root] == [[], ["failure"], ["error"]]
    assert root[1][0].attrib["message"] == 'It says "*" & more.'


@given(
    method=st.sampled_from(
        ["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "TRACE", "get", "Post"]
    ),
    header=st.sampled_from(["", "X-Admin-Key", "x-api-key", "Authorization", "COOKIE", "X-Request-ID"]),
)
def test_a_client_that_reads_sends_nothing_that_could_change_anything(method: str, header: str) -> None:
    request = httpx.Request(method, "https://api.example/", headers={header: "value"} if header else {})
    is_anonymous = header in {"", "X-Request-ID"}
    may_go = method.upper() in {"GET", "HEAD", "OPTIONS"} or (method.upper() == "POST" and is_anonymous)

    if may_go:
        refuse_writes(request)
    else:
        with pytest.raises(WriteRefusedError):
            refuse_writes(request)


@pytest.mark.parametrize("url", ["", "api.example", "ftp://api.example", "https://", "https://a b"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(PermanentError) as caught:
        parse_target(url, None, None)
    assert caught.value.code is ErrorCode.INVALID_ARGUMENT


def test_a_made_tenant_does_not_show_its_key() -> None:
    assert "cvg_dev_x" not in repr(MadeTenant("acme", {"api_key": "cvg_dev_x"}))
