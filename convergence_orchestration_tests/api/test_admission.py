from dataclasses import replace

import pytest

from convergence_orchestration.api.admission import (
    AlreadySo,
    Follow,
    Known,
    Write,
    admit,
    asked_before,
)
from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.tenancy.asked import (
    Asked,
    NewTenant,
    Offboarding,
    PlanChange,
    Resumption,
    Suspension,
    kind_of,
)
from convergence_orchestration.tenancy.model import Plan, Tenant, TenantId, TenantState
from convergence_orchestration.tenancy.request_model import RequestId, RequestState, TenantRequest
from convergence_orchestration_tests.tenancy.builders import FIRST, SECOND, event, request, tenant

ID = TenantId("acme")
ONBOARD = NewTenant(ID)
SUSPEND, RESUME, LEAVE = Suspension(ID), Resumption(ID), Offboarding(ID)
EVERY_CHANGE = [SUSPEND, RESUME, LEAVE, PlanChange(ID, Plan.SCALE)]
FRESH = RequestId("req_" + "z" * 26)
DONE, FAILED, RUNNING, REQUESTED = (
    RequestState.DONE,
    RequestState.FAILED,
    RequestState.RUNNING,
    RequestState.REQUESTED,
)


def failed(
    asked: Asked, code: ErrorCode = ErrorCode.PERMISSION_DENIED, attempt: int = 1, at: float = 0
) -> TenantRequest:
    one = request(asked, at, state=FAILED)
    return replace(one, error_code=code, attempt=attempt)


def refused(asked: Asked, known: Known) -> PermanentError:
    with pytest.raises(PermanentError) as raised:
        admit(asked, known, FRESH)
    return raised.value


def test_an_id_that_nobody_has_asked_for_is_written_down_under_the_fresh_id() -> None:
    assert admit(ONBOARD, Known(None), FRESH) == Write(FRESH)


@pytest.mark.parametrize("state", [state for state in TenantState if state is not TenantState.PROVISIONING])
def test_a_tenant_in_any_state_keeps_its_id(state: TenantState) -> None:
    error = refused(ONBOARD, Known(tenant(state=state)))

    is_deleted = state is TenantState.DELETED
    assert error.code is (ErrorCode.TENANT_DELETED if is_deleted else ErrorCode.TENANT_EXISTS)
    assert error.details["state"] == state


def test_a_tenant_that_was_never_finished_does_not_keep_its_id() -> None:
    assert admit(ONBOARD, Known(tenant(state=TenantState.PROVISIONING)), FRESH) == Write(FRESH)


@pytest.mark.parametrize("asked", [ONBOARD, *EVERY_CHANGE])
@pytest.mark.parametrize("state", [REQUESTED, RUNNING])
def test_an_open_request_is_named_to_whoever_asks_for_something(asked: Asked, state: RequestState) -> None:
    known = None if asked is ONBOARD else tenant()

    error = refused(asked, Known(known, [request(SUSPEND, state=state)]))

    assert error.code is ErrorCode.REQUEST_IN_PROGRESS
    assert (error.details["request_id"], error.details["kind"]) == (FIRST, "SUSPEND")


@pytest.mark.parametrize("code", [ErrorCode.PERMISSION_DENIED, ErrorCode.UNAVAILABLE])
def test_a_failed_onboarding_is_continued_under_its_id(code: ErrorCode) -> None:
    earlier = failed(NewTenant(ID, plan=Plan.SCALE), code, attempt=3)

    assert admit(ONBOARD, Known(None, [earlier]), FRESH) == Write(FIRST, 4)


def test_an_onboarding_that_lost_the_id_to_another_is_not_continued() -> None:
    known = Known(None, [failed(ONBOARD, ErrorCode.TENANT_EXISTS)])

    assert admit(ONBOARD, known, FRESH) == Write(FRESH)


def test_a_failed_request_of_another_kind_is_not_taken_for_an_onboarding() -> None:
    known = Known(None, [failed(SUSPEND, ErrorCode.TENANT_NOT_FOUND)])

    assert admit(ONBOARD, known, FRESH) == Write(FRESH)


@pytest.mark.parametrize("asked", EVERY_CHANGE)
def test_a_change_of_no_tenant_is_refused(asked: Asked) -> None:
    assert refused(asked, Known(None)).code is ErrorCode.TENANT_NOT_FOUND


@pytest.mark.parametrize("asked", EVERY_CHANGE)
def test_a_change_of_a_deleted_tenant_is_refused_as_such_whatever_else_is_open(asked: Asked) -> None:
    known = Known(tenant(state=TenantState.DELETED), [request(SUSPEND)])

    assert refused(asked, known).code is ErrorCode.TENANT_DELETED


@pytest.mark.parametrize(
    ("state", "asked"),
    [
        (TenantState.ACTIVE, RESUME),
        (TenantState.SUSPENDED, SUSPEND),
        (TenantState.ACTIVE, PlanChange(ID, Plan.PROFESSIONAL)),
    ],
)
def test_what_is_so_already_is_not_written_down(state: TenantState, asked: Asked) -> None:
    one = tenant(state=state)

    assert admit(asked, Known(one), FRESH) == AlreadySo(one)


def test_what_the_state_forbids_is_refused() -> None:
    error = refused(SUSPEND, Known(tenant(state=TenantState.OFFBOARDING)))

    assert error.code is ErrorCode.FAILED_PRECONDITION


def test_a_change_that_is_tried_again_by_itself_is_continued_by_the_same_and_waited_for_by_another() -> None:
    known = Known(tenant(), [failed(SUSPEND, ErrorCode.UNAVAILABLE, attempt=2)])

    assert admit(SUSPEND, known, FRESH) == Write(FIRST, 3)
    assert refused(RESUME, known).code is ErrorCode.REQUEST_IN_PROGRESS
    assert refused(Suspension(ID, "why"), known).code is ErrorCode.REQUEST_IN_PROGRESS


def test_a_change_that_failed_for_good_or_was_done_is_a_new_request() -> None:
    for earlier in (failed(SUSPEND), request(SUSPEND, state=DONE)):
        assert admit(SUSPEND, Known(tenant(), [earlier]), FRESH) == Write(FRESH)


@pytest.mark.parametrize("state", [REQUESTED, RUNNING, DONE])
def test_what_was_asked_for_with_the_same_key_is_followed_unless_it_failed(state: RequestState) -> None:
    same = request(ONBOARD, state=state)

    assert admit(ONBOARD, Known(tenant(), [same], same), FRESH) == Follow(same)


def test_what_failed_with_the_same_key_is_a_new_attempt_if_it_may_still_be_asked() -> None:
    same = failed(SUSPEND, attempt=2)

    assert admit(SUSPEND, Known(tenant(), [same], same), FRESH) == Write(FIRST, 3)
    other = request(RESUME, 1, SECOND)
    assert refused(SUSPEND, Known(tenant(), [same, other], same)).details["request_id"] == SECOND
    suspended: Tenant = tenant(state=TenantState.SUSPENDED)
    assert admit(SUSPEND, Known(suspended, [same], same), FRESH) == AlreadySo(suspended)


def test_a_key_that_nobody_sent_stands_for_nothing() -> None:
    assert asked_before(ONBOARD, "k", []) is None


def test_a_key_stands_for_the_request_and_for_what_was_asked_with_it() -> None:
    first = replace(event(REQUESTED, asked=ONBOARD), idempotency_key="k")
    corrected = event(REQUESTED, 1, attempt=2, asked=NewTenant(ID, plan=Plan.SCALE))

    found = asked_before(ONBOARD, "k", [first, event(RUNNING, asked=ONBOARD), corrected])

    assert found is not None
    assert (found.request_id, found.attempt, found.kind) == (FIRST, 2, kind_of(ONBOARD))
    with pytest.raises(PermanentError, match="Send a new Idempotency-Key") as raised:
        asked_before(NewTenant(ID, plan=Plan.SCALE), "k", [first, corrected])
    assert raised.value.code is ErrorCode.IDEMPOTENCY_KEY_REUSED
    assert raised.value.details == {"stands_for": FIRST}
