from dataclasses import replace
from typing import Any

import pytest

from convergence_orchestration.api.admission import Follow, Write
from convergence_orchestration.api.batch_rows import Row, admitted, check_same_batch, parsed
from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.tenancy.asked import NewTenant, parse_new_tenant
from convergence_orchestration.tenancy.model import Plan, TenantId, TenantState
from convergence_orchestration.tenancy.request_model import BatchId, RequestState, request_id_in_batch
from convergence_orchestration_tests.tenancy.builders import FIRST, request, tenant

BATCH = BatchId("bat_" + "a" * 26)
ACME = Row(0, parse_new_tenant(tenant_id="acme"))


def test_rows_that_are_well_formed_are_tenants_to_be() -> None:
    rows, refused = parsed([{"tenant_id": "acme", "plan": "SCALE"}, {"tenant_id": "globex"}])

    assert rows == [
        Row(0, NewTenant(TenantId("acme"), plan=Plan.SCALE)),
        Row(1, NewTenant(TenantId("globex"))),
    ]
    assert refused == []


@pytest.mark.parametrize(
    ("sent", "tenant_id", "code", "place", "says"),
    [
        ({"tenant_id": "Acme"}, None, "invalid_tenant_id", "tenants.0.tenant_id", "3 to 50 characters"),
        ({"tenant_id": "tenants"}, "tenants", "reserved_tenant_id", "tenants.0.tenant_id", "reserved"),
        ({"tenant_id": "acme", "plan": "GOLD"}, "acme", "invalid_argument", "tenants.0.plan", "STARTER"),
        (
            {"tenant_id": "acme", "admin_email": "x"},
            "acme",
            "invalid_argument",
            "tenants.0.admin_email",
            "name@",
        ),
        (
            {"tenant_id": "acme", "owner": "s3cret"},
            "acme",
            "invalid_argument",
            "tenants.0.owner",
            "owner is not",
        ),
        ({"tenant_id": 7}, None, "invalid_argument", "tenants.0.tenant_id", "must be a string"),
        ({}, None, "invalid_argument", "tenants.0.tenant_id", "is required"),
        ("acme", None, "invalid_argument", "tenants.0", "must be a JSON object"),
        (None, None, "invalid_argument", "tenants.0", "must be a JSON object"),
    ],
)
def test_a_row_that_is_not_is_named_without_its_values(
    sent: Any, tenant_id: str | None, code: str, place: str, says: str
) -> None:
    rows, (refused,) = parsed([sent])

    assert rows == []
    assert (refused.index, refused.tenant_id, refused.code, refused.place) == (0, tenant_id, code, place)
    assert says in refused.message
    assert "s3cret" not in refused.message


def test_a_repeated_id_is_refused_and_the_first_row_of_it_is_not() -> None:
    rows, (refused,) = parsed([{"tenant_id": "acme"}, {"tenant_id": "acme", "plan": "SCALE"}])

    assert [row.index for row in rows] == [0]
    assert (refused.index, refused.code) == (1, ErrorCode.INVALID_ARGUMENT)
    assert refused.message == "Remove this row: row 0 asks for acme already."


def test_a_row_whose_tenant_is_there_or_in_progress_is_refused_and_the_others_are_not() -> None:
    rows, _ = parsed([{"tenant_id": name} for name in ("acme", "globex", "initech", "hooli")])
    there = {TenantId("acme"): tenant("acme"), TenantId("hooli"): tenant("hooli", TenantState.DELETED)}

    accepted, refused = admitted(rows, there, [request(NewTenant(TenantId("globex")))], BATCH)

    assert [(each.index, each.code) for each in refused] == [
        (0, ErrorCode.TENANT_EXISTS),
        (1, ErrorCode.REQUEST_IN_PROGRESS),
        (3, ErrorCode.TENANT_DELETED),
    ]
    assert [each.decision for each in accepted] == [Write(request_id_in_batch(BATCH, TenantId("initech")))]


def test_a_row_of_the_same_batch_is_followed_and_one_that_failed_is_tried_again() -> None:
    done = replace(request(ACME.asked, state=RequestState.DONE), batch_id=BATCH)
    (followed,), _ = admitted([ACME], {TenantId("acme"): tenant()}, [done], BATCH)
    failed = replace(done, state=RequestState.FAILED, error_code=ErrorCode.UNAVAILABLE)
    (again,), _ = admitted([ACME], {}, [failed], BATCH)

    assert followed.decision == Follow(done)
    assert again.decision == Write(FIRST, 2)


def test_a_failed_onboarding_of_before_is_continued_by_a_batch() -> None:
    failed = replace(request(ACME.asked, state=RequestState.FAILED), error_code=ErrorCode.PERMISSION_DENIED)

    (each,), _ = admitted([ACME], {}, [failed], BATCH)

    assert each.decision == Write(FIRST, 2)


def test_a_batch_sent_again_asks_for_no_less_and_nothing_else() -> None:
    written = request(ACME.asked)

    check_same_batch(BATCH, [ACME, Row(1, NewTenant(TenantId("globex")))], [written])
    for rows in ([], [Row(0, replace(ACME.asked, plan=Plan.SCALE))]):
        with pytest.raises(PermanentError) as raised:
            check_same_batch(BATCH, rows, [written])
        assert raised.value.code is ErrorCode.IDEMPOTENCY_KEY_REUSED
