import re
from contextlib import nullcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.tenancy.model import (
    PLAN_LIMITS,
    RESERVED_TENANT_IDS,
    TENANT_ID_PATTERN,
    TENANT_TRANSITIONS,
    Plan,
    TenantState,
    parse_plan,
    parse_tenant_id,
)


@pytest.mark.parametrize("value", ["abc", "acmecorp", "a_1", "a" * 50, "x__"])
def test_an_id_of_the_documented_form_is_a_tenant_id(value: str) -> None:
    assert parse_tenant_id(value) == value


@pytest.mark.parametrize(
    "value",
    ["", "ab", "a" * 51, "Acme", "1abc", "_abc", "acme-corp", "acme ", "acme\n", " acme", "açme", "acme.x"],
)
def test_an_id_of_any_other_form_is_refused_with_the_pattern(value: str) -> None:
    with pytest.raises(PermanentError) as raised:
        parse_tenant_id(value)
    assert raised.value.code is ErrorCode.INVALID_TENANT_ID
    assert raised.value.details["pattern"] == TENANT_ID_PATTERN


@pytest.mark.parametrize("value", sorted(RESERVED_TENANT_IDS))
def test_every_reserved_id_is_refused_by_its_name(value: str) -> None:
    with pytest.raises(PermanentError, match=value) as raised:
        parse_tenant_id(value)
    assert raised.value.code is ErrorCode.RESERVED_TENANT_ID


def test_every_reserved_id_has_the_form_of_a_tenant_id() -> None:
    assert all(re.fullmatch(TENANT_ID_PATTERN, value) for value in RESERVED_TENANT_IDS)


@given(st.text() | st.from_regex(TENANT_ID_PATTERN))
def test_any_text_is_a_tenant_id_or_a_permanent_error(value: str) -> None:
    is_one = re.fullmatch(r"[a-z][a-z0-9_]{2,49}", value) is not None and value not in RESERVED_TENANT_IDS
    with nullcontext() if is_one else pytest.raises(PermanentError):
        assert parse_tenant_id(value) == value


def test_the_plans_have_the_limits_of_the_design() -> None:
    limits = {plan: (of.runs_per_day, of.concurrent_runs) for plan, of in PLAN_LIMITS.items()}
    assert limits == {Plan.STARTER: (6, 3), Plan.PROFESSIONAL: (25, 5), Plan.SCALE: (100, 10)}
    assert {(of.requests_per_minute, of.requests_per_hour) for of in PLAN_LIMITS.values()} == {(100, 1000)}
    assert {plan: of.active_keys for plan, of in PLAN_LIMITS.items()} == {
        Plan.STARTER: 1,
        Plan.PROFESSIONAL: 3,
        Plan.SCALE: 10,
    }


@pytest.mark.parametrize("value", ["", "starter", "GOLD", "STARTER "])
def test_an_unknown_plan_is_refused_with_those_that_there_are(value: str) -> None:
    with pytest.raises(PermanentError, match="STARTER, PROFESSIONAL, SCALE") as raised:
        parse_plan(value)
    assert raised.value.code is ErrorCode.INVALID_ARGUMENT


def test_every_state_has_its_transitions_and_a_deleted_tenant_has_none() -> None:
    assert set(TENANT_TRANSITIONS) == set(TenantState)
    assert TENANT_TRANSITIONS[TenantState.DELETED] == frozenset()
