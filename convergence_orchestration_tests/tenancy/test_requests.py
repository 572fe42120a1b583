from dataclasses import replace

import pytest

from convergence_orchestration.errors import ErrorCode
from convergence_orchestration.gcp.bigquery import BigQuery
from convergence_orchestration.tenancy.asked import RequestKind
from convergence_orchestration.tenancy.model import TenantId
from convergence_orchestration.tenancy.request_model import (
    RequestEvent,
    RequestState,
    new_batch_id,
    new_request_id,
)
from convergence_orchestration.tenancy.requests import RequestFilter, TenantRequests
from convergence_orchestration.tenancy.retries import MOST_ATTEMPTS
from convergence_orchestration_tests.tenancy.builders import ACME, event, seconds

REQUESTED, RUNNING, DONE, FAILED = RequestState


@pytest.fixture
def requests(bigquery: BigQuery) -> TenantRequests:
    return TenantRequests(bigquery)


def events_for(tenant_id: TenantId, *states: RequestState, at: float = 0) -> list[RequestEvent]:
    request_id, asked = new_request_id(), replace(ACME, tenant_id=tenant_id)
    return [
        replace(
            event(
                state, at + place, request_id, error_code=ErrorCode.UNAVAILABLE if state is FAILED else None
            ),
            tenant_id=tenant_id,
            parameters=asked if state is REQUESTED else None,
        )
        for place, state in enumerate(states)
    ]


def test_a_request_reads_back_as_it_was_written(requests: TenantRequests, tenant_id: TenantId) -> None:
    events = events_for(tenant_id, REQUESTED, RUNNING, FAILED)
    events[0] = replace(events[0], idempotency_key="the caller's")
    for each in events:
        requests.append(each)

    assert requests.events(events[0].request_id) == events
    request = requests.get(events[0].request_id)
    assert request is not None
    assert request.parameters == replace(ACME, tenant_id=tenant_id)
    assert (request.state, request.reason, request.error_code) == (FAILED, "it broke", ErrorCode.UNAVAILABLE)
    assert (request.requested_at, request.updated_at) == (seconds(0), seconds(2))


def test_the_same_event_twice_counts_once(requests: TenantRequests, tenant_id: TenantId) -> None:
    (asked,) = events_for(tenant_id, REQUESTED)
    requests.append(asked)
    requests.append(replace(asked, recorded_at=seconds(30)))
    assert len(requests.events(asked.request_id)) == 1


def test_an_unknown_request_is_none(requests: TenantRequests, tenant_id: TenantId) -> None:
    assert requests.get(new_request_id()) is None
    assert requests.all_for(tenant_id) == []
    assert requests.batch(new_batch_id()) is None


def test_the_requests_of_some_tenants_are_listed_as_they_were_asked_for(
    requests: TenantRequests, tenant_id: TenantId
) -> None:
    other = TenantId(f"{tenant_id}_other")
    failed = events_for(tenant_id, REQUESTED, RUNNING, FAILED)
    done = events_for(tenant_id, REQUESTED, RUNNING, DONE, at=10)
    others = events_for(other, REQUESTED, at=5)
    requests.append(*failed, *done, *others)

    both = [each[0].request_id for each in (failed, others, done)]
    assert [each.request_id for each in requests.all_for(tenant_id, other)] == both
    assert [each.request_id for each in requests.all_for(other)] == both[1:2]
    assert [each.request_id for each in requests.get_all([*both, new_request_id()])] == both


def test_what_is_unfinished_is_what_is_open_or_may_pass(
    requests: TenantRequests, tenant_id: TenantId
) -> None:
    asked, running = events_for(tenant_id, REQUESTED), events_for(tenant_id, REQUESTED, RUNNING)
    done = events_for(tenant_id, REQUESTED, RUNNING, DONE)
    passing = events_for(tenant_id, REQUESTED, RUNNING, FAILED)
    permanent = [
        replace(each, error_code=each.error_code and ErrorCode.TENANT_EXISTS) for each in again(passing)
    ]
    tried = [replace(each, attempt=MOST_ATTEMPTS) for each in again(passing)]
    slower = [*again(done), event(RUNNING, 9, attempt=2)]
    slower[-1] = replace(slower[-1], request_id=slower[0].request_id, tenant_id=tenant_id)
    requests.append(*asked, *running, *done, *passing, *permanent, *tried, *slower)

    unfinished = {
        each.request_id: each for each in requests.unfinished(seconds(0)) if each.tenant_id == tenant_id
    }

    assert set(unfinished) == {asked[0].request_id, running[0].request_id, passing[0].request_id}
    failed = unfinished[passing[0].request_id]
    assert (failed.state, failed.attempt, failed.error_code) == (FAILED, 1, ErrorCode.UNAVAILABLE)
    assert (failed.requested_at, failed.updated_at) == (seconds(0), seconds(2))
    assert unfinished[running[0].request_id].run_id == "run-1"


def test_what_ended_before_a_time_is_not_looked_at(requests: TenantRequests, tenant_id: TenantId) -> None:
    requests.append(*events_for(tenant_id, REQUESTED, at=-100), *events_for(tenant_id, REQUESTED, at=100))
    found = [each for each in requests.unfinished(seconds(50)) if each.tenant_id == tenant_id]
    assert [each.requested_at for each in found] == [seconds(100)]


def test_pages_show_the_newest_first_and_go_on_behind_the_last(
    requests: TenantRequests, tenant_id: TenantId
) -> None:
    made = [events_for(tenant_id, REQUESTED, at=at) for at in (1, 2, 2, 3)]
    requests.append(*(event for events in made for event in events))
    wanted = RequestFilter(tenant_id=tenant_id)
    first = requests.page(2, wanted)
    second = requests.page(2, wanted, (first[-1].requested_at, first[-1].request_id))
    assert [each.requested_at for each in [*first, *second]] == [seconds(at) for at in (3, 2, 2, 1)]
    assert {each.request_id for each in [*first, *second]} == {events[0].request_id for events in made}
    assert requests.page(2, wanted, (seconds(1), made[0][0].request_id)) == []


def test_pages_are_filtered_by_state_kind_and_batch(requests: TenantRequests, tenant_id: TenantId) -> None:
    batch_id = new_batch_id()
    asked, done = events_for(tenant_id, REQUESTED), events_for(tenant_id, REQUESTED, RUNNING, DONE)
    asked = [replace(each, batch_id=batch_id) for each in asked]
    requests.append(*asked, *done)
    for wanted, expected in (
        (RequestFilter(tenant_id, state=DONE), done),
        (RequestFilter(tenant_id, batch_id=batch_id), asked),
    ):
        assert [each.request_id for each in requests.page(9, wanted)] == [expected[0].request_id]
    assert len(requests.page(9, RequestFilter(tenant_id, kind=RequestKind.ONBOARD))) == 2
    assert requests.page(9, RequestFilter(tenant_id, kind=RequestKind.SUSPEND)) == []


def test_a_batch_is_counted_by_state(requests: TenantRequests, tenant_id: TenantId) -> None:
    batch_id = new_batch_id()
    events = [*events_for(tenant_id, REQUESTED), *events_for(tenant_id, REQUESTED, RUNNING, DONE, at=5)]
    requests.append(*(replace(each, batch_id=batch_id) for each in events))
    progress = requests.batch(batch_id)
    assert progress is not None
    assert progress.counts == {REQUESTED: 1, DONE: 1}
    assert (progress.requested_at, progress.updated_at) == (seconds(0), seconds(7))


def again(events: list[RequestEvent]) -> list[RequestEvent]:
    """The same events of another request."""
    request_id = new_request_id()
    return [replace(each, request_id=request_id) for each in events]
