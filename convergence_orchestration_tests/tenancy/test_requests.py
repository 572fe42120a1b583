from dataclasses import replace

import pytest

from convergence_orchestration.errors import ErrorCode
from convergence_orchestration.gcp.bigquery import BigQuery
from convergence_orchestration.tenancy.model import RequestEvent, RequestState, TenantId, new_request_id
from convergence_orchestration.tenancy.requests import TenantRequests
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
    assert requests.latest_for(tenant_id) is None
    assert requests.open_or_failed_for(tenant_id) is None


def test_the_latest_request_is_told_from_the_one_that_can_be_resumed(
    requests: TenantRequests, tenant_id: TenantId
) -> None:
    failed = events_for(tenant_id, REQUESTED, RUNNING, FAILED)
    done = events_for(tenant_id, REQUESTED, RUNNING, DONE, at=10)
    for each in [*failed, *done]:
        requests.append(each)

    latest, resumable = requests.latest_for(tenant_id), requests.open_or_failed_for(tenant_id)
    assert latest is not None
    assert resumable is not None
    assert (latest.request_id, resumable.request_id) == (done[0].request_id, failed[0].request_id)
    assert len(requests.all_for(tenant_id)) == 2
