import json

import pytest

from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.tenancy.asked import (
    MAX_REASON_LENGTH,
    MAX_RETENTION_DAYS,
    Asked,
    Deletion,
    NewTenant,
    Offboarding,
    PlanChange,
    RequestKind,
    Resumption,
    Suspension,
    from_json,
    kind_of,
    parse_new_tenant,
    parse_offboarding,
    parse_plan_change,
    parse_resumption,
    parse_suspension,
    to_json,
)
from convergence_orchestration.tenancy.model import (
    MAX_COMPANY_NAME_LENGTH,
    MAX_DESCRIPTION_LENGTH,
    Plan,
    TenantId,
)
from convergence_orchestration_tests.tenancy.builders import ACME

TENANT = TenantId("acme")
ONE_OF_EACH: tuple[Asked, ...] = (
    ACME,
    PlanChange(TENANT, Plan.SCALE),
    Suspension(TENANT, "unpaid"),
    Resumption(TENANT),
    Offboarding(TENANT, "left", take_snapshot=True, retention_days=7),
    Deletion(TENANT),
)


def test_there_is_a_kind_for_everything_that_can_be_asked_for() -> None:
    assert [kind_of(asked) for asked in ONE_OF_EACH] == list(RequestKind)


@pytest.mark.parametrize("asked", ONE_OF_EACH, ids=kind_of)
def test_what_was_asked_for_reads_back_as_it_was_stored(asked: Asked) -> None:
    assert from_json(kind_of(asked), to_json(asked)) == asked


def test_an_event_of_before_a_field_was_there_has_the_fields_default() -> None:
    stored = json.loads(to_json(ACME))
    del stored["principal"]
    assert from_json(RequestKind.ONBOARD, json.dumps(stored)) == ACME


def test_a_request_for_a_tenant_needs_an_id_alone() -> None:
    assert parse_new_tenant(tenant_id="acme") == NewTenant(TENANT)


@pytest.mark.parametrize("email", ["ops@acme.example", "a.b+c@x.y.example", ""])
def test_an_email_of_the_usual_form_or_none_is_taken(email: str) -> None:
    assert parse_new_tenant(tenant_id="acme", admin_email=email).admin_email == email


@pytest.mark.parametrize(
    "email", ["ops", "ops@", "@acme.example", "ops@acme", "o p@acme.example", "a@b@c.example"]
)
def test_an_email_of_another_form_is_refused(email: str) -> None:
    with pytest.raises(PermanentError, match="name@example") as raised:
        parse_new_tenant(tenant_id="acme", admin_email=email)
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
        parse_new_tenant(tenant_id="acme", **{field: value})
    assert raised.value.code is ErrorCode.INVALID_ARGUMENT
    assert raised.value.details == {"field": field}


def test_a_description_may_have_lines_and_any_script() -> None:
    text = "two\nlines\tand Ünïcödé 漢字"
    assert parse_new_tenant(tenant_id="acme", description=text).description == text


@pytest.mark.parametrize(
    "principal",
    [
        "",
        "user:ana@acme.example",
        "group:data@acme.example",
        "serviceAccount:etl@acme.iam.gserviceaccount.com",
    ],
)
def test_a_principal_is_a_user_a_group_or_a_service_account(principal: str) -> None:
    assert parse_new_tenant(tenant_id="acme", principal=principal).principal == principal


@pytest.mark.parametrize(
    "principal", ["ana@acme.example", "domain:acme.example", "user:", "allUsers", "user:ana"]
)
def test_a_principal_of_another_form_is_refused_with_the_forms_there_are(principal: str) -> None:
    with pytest.raises(PermanentError, match="serviceAccount:") as raised:
        parse_new_tenant(tenant_id="acme", principal=principal)
    assert raised.value.details == {"field": "principal"}


def test_a_plan_change_a_suspension_and_a_resumption_are_checked_like_a_new_tenant() -> None:
    assert parse_plan_change(tenant_id="acme", plan="SCALE") == PlanChange(TENANT, Plan.SCALE)
    assert parse_suspension(tenant_id="acme", reason="unpaid") == Suspension(TENANT, "unpaid")
    assert parse_resumption(tenant_id="acme") == Resumption(TENANT)
    with pytest.raises(PermanentError, match="Choose one of the plans"):
        parse_plan_change(tenant_id="acme", plan="GOLD")
    for parse in (parse_suspension, parse_resumption):
        with pytest.raises(PermanentError, match="Choose a tenant id"):
            parse(tenant_id="ACME")
        with pytest.raises(PermanentError, match="Shorten reason"):
            parse(tenant_id="acme", reason="x" * (MAX_REASON_LENGTH + 1))


def test_an_offboarding_is_confirmed_by_the_tenants_id() -> None:
    asked = parse_offboarding(
        tenant_id="acme", confirm="acme", reason="left", take_snapshot=True, retention_days=0
    )
    assert asked == Offboarding(TENANT, "left", take_snapshot=True, retention_days=0)


@pytest.mark.parametrize("confirm", ["", "acme2", "ACME", "acme ", "yes"])
def test_a_confirmation_that_differs_is_refused_with_the_one_that_is_wanted(confirm: str) -> None:
    with pytest.raises(PermanentError, match="confirm=acme") as raised:
        parse_offboarding(tenant_id="acme", confirm=confirm)
    assert (raised.value.code, raised.value.details) == (ErrorCode.INVALID_ARGUMENT, {"field": "confirm"})


@pytest.mark.parametrize("days", [-1, MAX_RETENTION_DAYS + 1])
def test_a_retention_of_other_lengths_is_refused(days: int) -> None:
    with pytest.raises(PermanentError, match="retention_days"):
        parse_offboarding(tenant_id="acme", confirm="acme", retention_days=days)
