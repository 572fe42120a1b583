import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from itertools import count

import pytest

from convergence_orchestration.settings import Environment
from convergence_orchestration.suites.running import SuiteName
from convergence_orchestration_tests.api.platform import Api
from convergence_orchestration_tests.suites.conftest import RunSuite, red, suite_on
from convergence_orchestration_tests.suites.mutants import Answered, Asked, Mutant, Mutation

Opened = Callable[[Environment], AbstractContextManager[Api]]


@pytest.fixture(scope="module")
def suite(api_of: Opened, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunSuite]:
    with api_of(Environment.PRODUCTION) as api:
        yield suite_on(SuiteName.PRODUCTION, api, tmp_path_factory.mktemp("authority"))


def fails_now_and_then() -> Mutation:
    calls = count(1)

    def spoil(asked: Asked, answered: Answered) -> Answered:
        is_it = asked.path == "/health" and asked.method == "GET" and next(calls) % 200 == 0
        return replace(answered, status=503) if is_it else answered

    return spoil


def lets_browsers_guess(asked: Asked, answered: Answered) -> Answered:
    return answered.without("X-Content-Type-Options") if asked.path else answered


def is_slow() -> Mutation:
    calls = count(1)

    def spoil(asked: Asked, answered: Answered) -> Answered:
        if asked.path == "/health" and 1_000 < next(calls) <= 1_010:  # behind the thousand of the first test
            time.sleep(0.6)
        return answered

    return spoil


def lets_everybody_in(asked: Asked, answered: Answered) -> Answered:
    is_it = answered.status == 403 and not asked.has("X-Admin-Key") and asked.path.endswith("/api-keys")
    return replace(answered, status=200) if is_it else answered


def lets_a_wrong_key_in(asked: Asked, answered: Answered) -> Answered:
    is_it = answered.status == 403 and asked.has("X-Admin-Key")
    return replace(answered, status=200) if is_it else answered


def serves_any_version(asked: Asked, answered: Answered) -> Answered:
    return replace(answered, status=200) if asked.path == "/api/v2/health" else answered


def tells_errors_as_text(asked: Asked, answered: Answered) -> Answered:
    return replace(answered, body=b"not found") if asked.path == "/api/v1/no-such-thing" else answered


def lets_strangers_call(asked: Asked, answered: Answered) -> Answered:
    allowed = {**answered.headers, "Access-Control-Allow-Origin": "*"}
    return replace(answered, headers=allowed) if asked.has("Origin") else answered


def hides_its_limits(asked: Asked, answered: Answered) -> Answered:
    is_it = asked.path == "/metrics"
    return answered.saying("convergence_rate_limit_requests{", "something_else{") if is_it else answered


def shows_its_documentation(asked: Asked, answered: Answered) -> Answered:
    return replace(answered, status=200) if asked.path == "/docs" else answered


MUTANTS: dict[int, Mutation] = {
    1: fails_now_and_then(),
    2: lets_browsers_guess,
    3: is_slow(),
    4: lets_everybody_in,
    5: lets_a_wrong_key_in,
    6: serves_any_version,
    7: tells_errors_as_text,
    8: lets_strangers_call,
    9: hides_its_limits,
    10: shows_its_documentation,
}


def test_all_ten_pass(suite: RunSuite) -> None:
    report = suite(Mutant())

    assert [(each.number, each.detail) for each in report.failures] == []
    assert len(report.results) == 10


@pytest.mark.parametrize("number", MUTANTS)
def test_exactly_the_test_that_is_meant_goes_red_on_a_mutant(suite: RunSuite, number: int) -> None:
    assert red(suite(Mutant(MUTANTS[number]))) == [number]


def test_a_certificate_that_ends_soon_is_seen(suite: RunSuite) -> None:
    assert red(suite(Mutant(certificate_days=3))) == [2]
