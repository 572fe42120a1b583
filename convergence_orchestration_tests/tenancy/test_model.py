import re
from contextlib import nullcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.tenancy.model import (
    MAX_COMPANY_NAME_LENGTH,
    MAX_DESCRIPTION_LENGTH,
    PLAN_LIMITS,
    REQUEST_ID_PATTERN,
    REQUEST_TRANSITIONS,
    RESERVED_TENANT_IDS,
    TENANT_ID_PATTERN,
    TENANT_TRANSITIONS,
    Plan,
    RequestState,
    TenantState,
    new_request_id,
    parse_new_tenant,
    parse_plan,
    parse_request_id,
    parse_tenant_id,
    request_id_of_run,
)
from convergence_orchestration_tests.tenancy.builders import ACME, event


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


@pytest.mark.parametrize("value", ["", "starter", "GOLD", "STARTER "])
def test_an_unknown_plan_is_refused_with_those_that_there_are(value: str) -> None:
    with pytest.raises(PermanentError, match="STARTER, PROFESSIONAL, SCALE") as raised:
        parse_plan(value)
    assert raised.value.code is ErrorCode.INVALID_ARGUMENT


def test_a_request_for_a_tenant_needs_an_id_alone() -> None:
    asked = parse_new_tenant("acme")
    assert asked.as_json() == {
        "tenant_id": "acme",
        "description": "",
        "company_name": "",
        "admin_email": "",
        "plan": "STARTER",
    }


@pytest.mark.parametrize("email", ["ops@acme.example", "a.b+c@x.y.example", ""])
def test_an_email_of_the_usual_form_or_none_is_taken(email: str) -> None:
    assert parse_new_tenant("acme", admin_email=email).admin_email == email


@pytest.mark.parametrize(
    "email", ["ops", "ops@", "@acme.example", "ops@acme", "o p@acme.example", "a@b@c.example"]
)
def test_an_email_of_another_form_is_refused(email: str) -> None:
    with pytest.raises(PermanentError, match="name@example") as raised:
        parse_new_tenant("acme", admin_email=email)
    assert raised.value.details == {"field": "admin_email"}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("description", "x" * (MAX_DESCRIPTION_LENGTH + 1)),
        ("company_name", "x" * (MAX_COMPANY_NAME_LENGTH + 1)),
        ("admin_email", "x" * 250 + "@acme.example"),
        ("description", "a\x00b"),
        ("company_name", "a\x1bb"),
        ("company_name", "\ud800"),
    ],
)
def test_texts_too_long_or_with_control_characters_are_refused_by_their_field(field: str, value: str) -> None:
    with pytest.raises(PermanentError, match=field) as raised:
        parse_new_tenant("acme", **{field: value})
    assert raised.value.code is ErrorCode.INVALID_ARGUMENT
    assert raised.value.details == {"field": field}


def test_a_description_may_have_lines_and_any_script() -> None:
    text = "two\nlines\tand Ünïcödé 漢字"
    assert parse_new_tenant("acme", description=text).description == text


def test_request_ids_are_random_and_valid_as_a_label() -> None:
    ids = {new_request_id() for _ in range(100)}
    assert len(ids) == 100
    assert all(
        re.fullmatch(r"[a-z0-9_-]{1,63}", each) and re.fullmatch(REQUEST_ID_PATTERN, each) for each in ids
    )


def test_a_run_stands_for_the_same_request_each_time_and_another_run_for_another() -> None:
    assert request_id_of_run("run-1") == request_id_of_run("run-1") != request_id_of_run("run-2")
    assert parse_request_id(request_id_of_run("run-1")) == request_id_of_run("run-1")


@pytest.mark.parametrize(
    "value", ["req_", "req_" + "a" * 25, "req_" + "A" * 26, "a" * 30, "req_" + "a" * 26 + "\n"]
)
def test_a_request_id_of_another_form_is_refused(value: str) -> None:
    with pytest.raises(PermanentError, match="request id"):
        parse_request_id(value)


def test_every_state_has_its_transitions_and_they_lead_to_states() -> None:
    assert set(TENANT_TRANSITIONS) == set(TenantState)
    assert set(REQUEST_TRANSITIONS) == set(RequestState)
    assert TENANT_TRANSITIONS[TenantState.DELETED] == frozenset()
    assert REQUEST_TRANSITIONS[RequestState.DONE] == frozenset()


def test_an_event_is_the_same_event_when_the_same_happened() -> None:
    running = event(RequestState.RUNNING)
    assert (
        running.event_id
        == event(RequestState.RUNNING, at=5).event_id
        == f"{running.request_id}.1.RUNNING.run-1"
    )
    assert event(RequestState.REQUESTED).event_id == f"{running.request_id}.1.REQUESTED"
    assert event(RequestState.RUNNING, attempt=2).event_id != running.event_id


def test_what_was_asked_for_reads_back_as_plain_strings() -> None:
    assert ACME.as_json()["plan"] == "PROFESSIONAL"
    assert all(type(value) is str for value in ACME.as_json().values())
