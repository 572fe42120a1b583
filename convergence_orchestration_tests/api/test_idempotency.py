from concurrent.futures import ThreadPoolExecutor
from functools import partial
from uuid import uuid4

import pytest

from convergence_orchestration.errors import ErrorCode, TransientError
from convergence_orchestration.tenancy.asked import RequestKind
from convergence_orchestration.tenancy.request_model import request_id_of_key
from convergence_orchestration.warehouse.catalogue import tenant_tables
from convergence_orchestration_tests.api.dagster_standin import DagsterStandIn, Launch, Materializations
from convergence_orchestration_tests.api.fulfilling import JOB, event_of
from convergence_orchestration_tests.api.platform import (
    Api,
    ControlPlane,
    assert_is_error,
    new_tenant_id,
    patiently,
    served,
)

DOWN = TransientError(ErrorCode.UNAVAILABLE, "Try again: BigQuery is down.")


def new_key() -> str:
    return str(uuid4())


def create(
    api: Api, tenant_id: str, key: str, prefer: str = "", **more: str
) -> tuple[int, dict[str, object]]:
    body = {"tenant_id": tenant_id} | more
    answer = api.admin("POST", "/tenants", body, **{"Idempotency-Key": key, "Prefer": prefer})
    return answer.status_code, answer.json()


def test_the_same_key_gets_the_same_answer_however_often_and_from_any_process(
    api: Api, dagster: DagsterStandIn, control_plane: ControlPlane
) -> None:
    tenant_id, key = new_tenant_id(), new_key()

    first = create(api, tenant_id, key)
    again = create(api, tenant_id, key)
    with served(patiently(control_plane.settings), dagster) as another_process:
        elsewhere = create(another_process, tenant_id, key)

    assert first[0] == 200, first
    assert first == again == elsewhere
    assert first[1]["request_id"] == request_id_of_key(RequestKind.ONBOARD, "administrator", key)
    assert len(dagster.launches) == 1


def test_the_answer_stays_the_same_when_dagster_has_forgotten_the_run_or_is_down(
    api: Api, dagster: DagsterStandIn
) -> None:
    tenant_id, key = new_tenant_id(), new_key()
    first = create(api, tenant_id, key)

    dagster.runs.clear()
    forgotten = create(api, tenant_id, key)
    dagster.broken = (502, b"")
    down = create(api, tenant_id, key)

    assert first == forgotten == down
    assert first[1]["tables_created"] == sorted(table.name for table in tenant_tables())


@pytest.mark.parametrize(
    "more", [{"plan": "SCALE"}, {"company_name": "Other"}, {"tenant_id": "other_tenant"}]
)
def test_the_same_key_with_other_parameters_gets_409_and_changes_nothing(
    api: Api, dagster: DagsterStandIn, control_plane: ControlPlane, more: dict[str, str]
) -> None:
    tenant_id, key = new_tenant_id(), new_key()
    _, first = create(api, tenant_id, key)

    answer = api.admin("POST", "/tenants", {"tenant_id": tenant_id} | more, **{"Idempotency-Key": key})

    error = assert_is_error(answer, 409, "idempotency_key_reused")
    assert error["details"] == {"stands_for": first["request_id"]}
    assert len(dagster.launches) == 1
    assert len(control_plane.requests_for(tenant_id)) == 1
    assert control_plane.requests_for("other_tenant") == []


@pytest.mark.parametrize("key", ["", "a b", "ä", "x" * 256])
def test_a_key_of_the_wrong_form_gets_422(api: Api, dagster: DagsterStandIn, key: str) -> None:
    headers = {"X-Admin-Key": "admin_for_the_tests_alone", "Idempotency-Key": key.encode()}

    answer = api.call("POST", "/api/v1/admin/tenants", json={"tenant_id": new_tenant_id()}, headers=headers)

    error = assert_is_error(answer, 422, "invalid_argument")
    assert [detail["field"] for detail in error["details"]] == ["Idempotency-Key"]
    assert dagster.launches == []


def test_two_equal_calls_at_once_are_one_request_and_one_run(
    api: Api, dagster: DagsterStandIn, control_plane: ControlPlane
) -> None:
    tenant_id, key = new_tenant_id(), new_key()

    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(lambda _: create(api, tenant_id, key), range(2)))

    assert answers[0][0] == 200, answers
    assert answers[0] == answers[1]
    assert len(dagster.launches) == 1
    assert len(control_plane.requests_for(tenant_id)) == 1


def test_two_different_calls_for_one_id_at_once_make_it_once(api: Api, dagster: DagsterStandIn) -> None:
    tenant_id = new_tenant_id()

    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(lambda _: create(api, tenant_id, new_key())[0], range(2)))

    assert sorted(answers) == [200, 409]
    assert len(dagster.launches) == 1


def test_a_key_sent_again_while_its_run_goes_on_waits_for_that_run(
    api: Api, dagster: DagsterStandIn, control_plane: ControlPlane
) -> None:
    del dagster.work[JOB]
    tenant_id, key = new_tenant_id(), new_key()
    headers = {"Idempotency-Key": key, "Prefer": "respond-async"}
    first = api.admin("POST", "/tenants", {"tenant_id": tenant_id}, **headers)
    still = api.admin("POST", "/tenants", {"tenant_id": tenant_id}, **headers)
    (played,) = dagster.runs.values()
    control_plane.fulfilling.seemingly(played.launch)
    played.status = "SUCCESS"

    done = create(api, tenant_id, key)

    assert first.status_code == still.status_code == 202
    assert first.json() == still.json()
    assert done[0] == 200
    assert done[1]["run_id"] == first.json()["run_id"]
    assert len(dagster.launches) == 1


def test_a_run_that_ends_while_it_is_waited_for_is_answered_from_the_requests_own_events(
    api: Api, dagster: DagsterStandIn, control_plane: ControlPlane
) -> None:
    del dagster.work[JOB]
    tenant_id, key = new_tenant_id(), new_key()
    api.admin(
        "POST", "/tenants", {"tenant_id": tenant_id}, **{"Idempotency-Key": key, "Prefer": "respond-async"}
    )
    (played,) = dagster.runs.values()
    played.status = "SUCCESS"  # of a run that has other requests as well, this says nothing about this one

    open_still = create(api, tenant_id, key)
    with pytest.raises(TransientError):
        control_plane.fulfilling.failing(DOWN, played.launch)
    asked_again = create(api, tenant_id, key, prefer="respond-async")

    assert open_still[0] == 202
    assert asked_again[0] == 202, "a failed request is a new attempt, whose run goes on"
    assert [launch.config for launch in dagster.launches] == [played.launch.config] * 2


def test_a_key_sent_again_after_its_launch_was_lost_launches_the_run(
    api: Api, dagster: DagsterStandIn, control_plane: ControlPlane
) -> None:
    tenant_id, key = new_tenant_id(), new_key()
    dagster.broken, dagster.broken_operations = (500, b""), {"Launch"}
    lost = create(api, tenant_id, key)
    dagster.broken_operations = {"Launch", "Tagged"}
    unknown = create(api, tenant_id, key)
    dagster.broken = None

    done = create(api, tenant_id, key)

    assert (lost[0], unknown[0], done[0]) == (202, 202, 200)
    assert lost[1]["request_id"] == unknown[1]["request_id"] == done[1]["request_id"]
    assert len(dagster.launches) == 1
    assert [request.attempt for request in control_plane.requests_for(tenant_id)] == [1]


def test_a_key_sent_again_finds_the_run_that_the_sensor_launched(
    api: Api, dagster: DagsterStandIn, control_plane: ControlPlane
) -> None:
    tenant_id, key = new_tenant_id(), new_key()
    dagster.broken, dagster.broken_operations = (500, b""), {"Launch"}
    create(api, tenant_id, key)
    dagster.broken = None
    run_id = dagster.add_run(JOB, "STARTED", {"convergence/actor": "tenant_request_sensor"})
    (request,) = control_plane.requests_for(tenant_id)
    api.services.requests.append(event_of(request, request.state.RUNNING, dagster.runs[run_id].launch))

    answer = api.admin(
        "POST", "/tenants", {"tenant_id": tenant_id}, **{"Idempotency-Key": key, "Prefer": "wait=0"}
    )

    assert answer.status_code == 202
    assert answer.json()["run_id"] == run_id
    assert len(dagster.launches) == 1


def test_a_failed_request_sent_again_with_its_key_is_a_new_attempt_of_the_same(
    api: Api, dagster: DagsterStandIn, control_plane: ControlPlane
) -> None:
    tenant_id, key = new_tenant_id(), new_key()
    dagster.work[JOB] = partial(control_plane.fulfilling.failing, DOWN)
    failed = create(api, tenant_id, key)
    dagster.work[JOB] = control_plane.fulfilling.seemingly

    done = create(api, tenant_id, key)

    assert (failed[0], done[0]) == (503, 200)
    (request,) = control_plane.requests_for(tenant_id)
    assert (request.request_id, request.attempt) == (done[1]["request_id"], 2)


def test_another_key_continues_a_failed_onboarding_and_stands_for_it_from_then_on(
    api: Api, dagster: DagsterStandIn, control_plane: ControlPlane
) -> None:
    tenant_id, key = new_tenant_id(), new_key()
    dagster.work[JOB] = partial(control_plane.fulfilling.failing, DOWN)
    create(api, tenant_id, new_key())
    dagster.work[JOB] = control_plane.fulfilling.seemingly

    done = create(api, tenant_id, key, plan="SCALE")
    again = create(api, tenant_id, key, plan="SCALE")

    assert done[0] == 200
    assert again == done
    assert len(control_plane.requests_for(tenant_id)) == 1


def test_a_run_of_many_that_fails_is_answered_with_the_requests_own_reason(
    api: Api, dagster: DagsterStandIn, control_plane: ControlPlane
) -> None:
    tenant_id, key = new_tenant_id(), new_key()
    dagster.broken, dagster.broken_operations = (500, b""), {"Launch"}
    create(api, tenant_id, key)
    dagster.broken = None

    def fails_for_others(launch: Launch) -> Materializations:
        try:
            control_plane.fulfilling.failing(DOWN, launch)
        except TransientError:
            raise TransientError(ErrorCode.INTERNAL, "Another tenant's reason.") from None
        return []

    dagster.work[JOB] = fails_for_others

    status, body = create(api, tenant_id, key)

    assert status == 503
    assert body["error"]["message"] == DOWN.message  # type: ignore[index]
    assert body["error"]["details"]["next"]["step"] == "RETRY"  # type: ignore[index]
