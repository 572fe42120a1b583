from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace

import pytest

from convergence_orchestration.settings import Environment
from convergence_orchestration.suites.running import SuiteName
from convergence_orchestration_tests.api.platform import Api
from convergence_orchestration_tests.suites.conftest import RunSuite, red, suite_on
from convergence_orchestration_tests.suites.mutants import Answered, Asked, Mutant, Mutation

Opened = Callable[[Environment], AbstractContextManager[Api]]


@pytest.fixture(scope="module")
def suite(api_of: Opened) -> Iterator[RunSuite]:
    with api_of(Environment.DEVELOPMENT) as api:
        yield suite_on(SuiteName.LOCAL, api, None)


def says_degraded(asked: Asked, answered: Answered) -> Answered:
    is_it = asked.path == "/health" and asked.method == "GET"
    return answered.saying('"healthy"', '"degraded"') if is_it else answered


def forgets_a_table(asked: Asked, answered: Answered) -> Answered:
    return answered.saying('"audit_log",', "") if asked.path.endswith("/bootstrap") else answered


def is_still_provisioning(asked: Asked, answered: Answered) -> Answered:
    is_it = asked.method == "POST" and asked.path.endswith("/admin/tenants") and answered.status == 200
    return answered.saying('"ACTIVE"', '"PROVISIONING"') if is_it else answered


def tells_another_company(asked: Asked, answered: Answered) -> Answered:
    is_it = asked.method == "GET" and "/admin/tenants/" in asked.path and answered.status == 200
    return answered.saying("Acceptance suite", "Globex") if is_it else answered


def tells_another_hash(asked: Asked, answered: Answered) -> Answered:
    is_it = asked.path.endswith("/api-keys") and answered.status == 200
    return answered.saying('"tenant_api_key_hash":"', '"tenant_api_key_hash":"f') if is_it else answered


def lets_a_wrong_key_in(asked: Asked, answered: Answered) -> Answered:
    is_it = answered.status == 403 and asked.has("X-Admin-Key")
    return replace(answered, status=200) if is_it else answered


def lets_everybody_in(asked: Asked, answered: Answered) -> Answered:
    is_it = answered.status == 403 and not asked.has("X-Admin-Key")
    return replace(answered, status=200) if is_it else answered


def serves_any_version(asked: Asked, answered: Answered) -> Answered:
    return replace(answered, status=200) if asked.path == "/api/v2/health" else answered


def limits_nobody(asked: Asked, answered: Answered) -> Answered:
    return replace(answered, status=200) if answered.status == 429 and asked.path else answered


def has_another_schema(asked: Asked, answered: Answered) -> Answered:
    is_it = asked.path.endswith("/me/tables") and answered.status == 200
    return answered.saying('"INTEGER"', '"STRING"') if is_it else answered


MUTANTS: dict[int, Mutation] = {
    1: says_degraded,
    2: forgets_a_table,
    3: is_still_provisioning,
    4: tells_another_company,
    5: tells_another_hash,
    6: lets_a_wrong_key_in,
    7: lets_everybody_in,
    8: serves_any_version,
    9: limits_nobody,
    10: has_another_schema,
}


def test_all_ten_pass_and_nothing_is_left_behind(suite: RunSuite) -> None:
    report = suite(Mutant())

    assert [(each.number, each.detail) for each in report.failures] == []
    assert len(report.results) == 10
    assert report.left_behind == ()


@pytest.mark.parametrize("number", MUTANTS)
def test_exactly_the_test_that_is_meant_goes_red_on_a_mutant(suite: RunSuite, number: int) -> None:
    assert red(suite(Mutant(MUTANTS[number]))) == [number]
