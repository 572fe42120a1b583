from datetime import datetime, timedelta

from convergence_orchestration.errors import ErrorCode
from convergence_orchestration.tenancy.asked import RequestKind
from convergence_orchestration.tenancy.launches import OVERLAP, Bounds, Plan, next_since, plan
from convergence_orchestration.tenancy.model import TenantId
from convergence_orchestration.tenancy.request_model import RequestId, RequestState
from convergence_orchestration.tenancy.requests import UnfinishedRequest
from convergence_orchestration.tenancy.retries import MOST_ATTEMPTS
from convergence_orchestration_tests.tenancy.builders import T0, seconds

REQUESTED, RUNNING, _, FAILED = RequestState
LATER = seconds(3600)
USUAL = Bounds()


def unfinished(
    number: int = 1,
    state: RequestState = REQUESTED,
    at: float = 0,
    attempt: int = 1,
    tenant_id: str | None = None,
) -> UnfinishedRequest:
    return UnfinishedRequest(
        request_id=RequestId(f"req_{number:026d}"),
        tenant_id=TenantId(tenant_id or f"tenant_{number}"),
        kind=RequestKind.ONBOARD,
        state=state,
        attempt=attempt,
        run_id=None,
        error_code=ErrorCode.UNAVAILABLE if state is FAILED else None,
        batch_id=None,
        requested_at=seconds(at),
        updated_at=seconds(at),
    )


def decided(
    *requests: UnfinishedRequest,
    in_progress: tuple[RequestId, ...] = (),
    live: int = 0,
    now: datetime = LATER,
    bounds: Bounds = USUAL,
) -> Plan:
    return plan(requests, in_progress, live, now, bounds)


def launched(found: Plan) -> list[list[str]]:
    return [list(launch.request_ids) for launch in found.launches]


def test_nothing_unfinished_is_nothing_to_do() -> None:
    assert decided() == Plan()


def test_a_request_without_a_run_gets_one() -> None:
    one = unfinished()
    assert launched(decided(one)) == [[one.request_id]]


def test_a_request_whose_run_lives_is_left_to_it() -> None:
    one = unfinished(state=RUNNING)
    found = decided(one, in_progress=(one.request_id,))
    assert (found.launches, found.waiting) == ((), 1)


def test_a_request_that_somebody_is_about_to_launch_is_left_to_him() -> None:
    assert decided(unfinished(), now=seconds(9)).launches == ()
    assert decided(unfinished(), now=seconds(10)).launches != ()


def test_a_request_whose_run_is_gone_gets_another_at_once() -> None:
    assert decided(unfinished(state=RUNNING), now=T0).launches != ()


def test_a_failed_request_waits_for_its_pause() -> None:
    one = unfinished(state=FAILED, attempt=2)
    assert decided(one, now=seconds(59)).launches == ()
    assert launched(decided(one, now=seconds(60))) == [[one.request_id]]


def test_a_request_whose_runs_are_killed_again_and_again_is_given_up() -> None:
    one = unfinished(state=RUNNING, attempt=MOST_ATTEMPTS)
    found = decided(one)
    assert (found.launches, found.given_up) == ((), (one,))
    assert decided(one, in_progress=(one.request_id,)).given_up == (), "its last run lives"


def test_a_request_that_is_asked_again_is_launched_however_often_it_failed() -> None:
    one = unfinished(state=REQUESTED, attempt=MOST_ATTEMPTS + 1)
    found = decided(one)
    assert (launched(found), found.given_up) == ([[one.request_id]], ())


def test_many_requests_go_in_few_runs_in_the_order_they_were_asked_for() -> None:
    requests = [unfinished(number, at=-number) for number in range(1, 6)]
    found = decided(*requests, bounds=Bounds(requests_per_run=2, runs_at_once=2))
    ids = [each.request_id for each in reversed(requests)]
    assert launched(found) == [ids[:2], ids[2:4]]
    assert found.waiting == 1


def test_runs_that_live_count_against_the_bound() -> None:
    assert decided(unfinished(), live=2).launches == ()
    assert len(decided(unfinished(), live=1).launches) == 1


def test_of_a_tenants_requests_only_the_first_is_carried_out() -> None:
    first = unfinished(1, at=0, tenant_id="acme")
    second = unfinished(2, at=5, tenant_id="acme")
    assert launched(decided(second, first)) == [[first.request_id]]
    assert decided(second, first, in_progress=(first.request_id,)).launches == ()
    assert launched(decided(second)) == [[second.request_id]]


def test_the_same_question_within_a_minute_has_the_same_key() -> None:
    key, again, changed, later = (
        decided(one, now=now).launches[0].run_key
        for one, now in (
            (unfinished(), LATER),
            (unfinished(), LATER + timedelta(seconds=30)),
            (unfinished(attempt=2), LATER),
            (unfinished(), LATER + timedelta(minutes=1)),
        )
    )
    assert key == again
    assert len({key, changed, later}) == 3


def test_the_next_look_reaches_back_to_the_oldest_unfinished_request() -> None:
    assert next_since([], LATER) == LATER - OVERLAP
    assert next_since([unfinished(1, at=5), unfinished(2, at=1)], LATER) == seconds(1) - OVERLAP
    assert next_since([unfinished(at=9999)], LATER) == LATER - OVERLAP, "a clock that is ahead skips nothing"
