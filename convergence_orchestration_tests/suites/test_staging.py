import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace

import pytest

from convergence_orchestration.settings import Environment
from convergence_orchestration.suites.running import SuiteName
from convergence_orchestration_tests.api.platform import Api
from convergence_orchestration_tests.suites.conftest import RunSuite, red, suite_on
from convergence_orchestration_tests.suites.mutants import Answered, Asked, Mutant

Opened = Callable[[Environment], AbstractContextManager[Api]]


@pytest.fixture(scope="module")
def suite(api_of: Opened, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunSuite]:
    with api_of(Environment.STAGING) as api:
        yield suite_on(SuiteName.STAGING, api, tmp_path_factory.mktemp("authority"))


def says_production(asked: Asked, answered: Answered) -> Answered:
    return (
        answered.saying('"staging"', '"production"')
        if asked.path == "/health" and answered.body
        else answered
    )


def delivers_another_key() -> Callable[[Asked, Answered], Answered]:
    delivered = Counter[str]()

    def spoil(asked: Asked, answered: Answered) -> Answered:
        if not asked.path.endswith("/api-keys") or answered.status != 200:
            return answered
        key = asked.headers["idempotency-key"]
        delivered[key] += 1
        return answered.saying('"api_key":"', '"api_key":"x') if delivered[key] == 2 else answered

    return spoil


def shows_others_runs(asked: Asked, answered: Answered) -> Answered:
    is_it = "/pipeline-runs/" in asked.path and answered.status == 404
    return replace(answered, status=200) if is_it else answered


def limits_nobody(asked: Asked, answered: Answered) -> Answered:
    return replace(answered, status=200) if answered.status == 429 and asked.path else answered


def loses_a_table(asked: Asked, answered: Answered) -> Answered:
    is_it = asked.path.endswith("/me/tables") and answered.status == 200
    return answered.saying('"name":"step_logs"', '"name":"steps"') if is_it else answered


def counts_nothing(asked: Asked, answered: Answered) -> Answered:
    return replace(answered, body=b"") if asked.path == "/metrics" else answered


def is_slow(asked: Asked, answered: Answered) -> Answered:
    if asked.path == "/api/v1/tenants/me":
        time.sleep(0.25)
    return answered


def tells_errors_as_text(asked: Asked, answered: Answered) -> Answered:
    return replace(answered, body=b"not found") if asked.path == "/api/v1/no-such-thing" else answered


def keeps_revoked_keys(asked: Asked) -> Answered | None:
    is_it = asked.method == "DELETE" and "/api-keys/" in asked.path
    return Answered(200, {"content-type": "application/json"}, b"{}") if is_it else None


MUTANTS = {
    1: Mutant(certificate_days=3),
    2: Mutant(says_production),
    3: Mutant(delivers_another_key()),
    4: Mutant(shows_others_runs),
    5: Mutant(limits_nobody),
    6: Mutant(loses_a_table),
    7: Mutant(counts_nothing),
    8: Mutant(is_slow),
    9: Mutant(tells_errors_as_text),
    10: Mutant(swallows=keeps_revoked_keys),
}


def test_all_ten_pass_and_nothing_is_left_behind(suite: RunSuite) -> None:
    report = suite(Mutant())

    assert [(each.number, each.detail) for each in report.failures] == []
    assert len(report.results) == 10
    assert report.left_behind == ()


@pytest.mark.parametrize("number", MUTANTS)
def test_exactly_the_test_that_is_meant_goes_red_on_a_mutant(suite: RunSuite, number: int) -> None:
    assert red(suite(MUTANTS[number])) == [number]
