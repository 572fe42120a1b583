from datetime import timedelta

import pytest
from google.cloud.bigquery import ScalarQueryParameter

from convergence_orchestration.api.auth import for_a_tenant
from convergence_orchestration.errors import ErrorCode, PermanentError, TransientError
from convergence_orchestration.keys.model import Scope
from convergence_orchestration.tenancy.model import TenantState
from convergence_orchestration_tests.api.platform import (
    Api,
    ControlPlane,
    assert_is_error,
    new_tenant_id,
)
from convergence_orchestration_tests.emulators import Emulator
from convergence_orchestration_tests.gcp.faults import faults


def test_a_tenant_sees_itself_and_its_key_and_nothing_for_administrators(api: Api) -> None:
    tenant_id = new_tenant_id()
    api.admin("POST", "/tenants", {"tenant_id": tenant_id, "company_name": "ACME", "plan": "SCALE"})
    expires_at = (api.clock() + timedelta(days=1)).replace(microsecond=0)
    key = api.known_key(tenant_id, scopes=(Scope.USAGE_READ,), description="mine", expires_at=expires_at)

    answer = api.me(key["api_key"])

    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body.keys() == {
        "tenant_id",
        "state",
        "company_name",
        "description",
        "plan",
        "created_at",
        "limits",
        "key",
    }
    assert (body["tenant_id"], body["company_name"], body["plan"]) == (tenant_id, "ACME", "SCALE")
    assert body["limits"] == {
        "requests_per_minute": 100,
        "requests_per_hour": 1000,
        "runs_per_day": 100,
        "concurrent_runs": 10,
    }
    assert body["key"] == {
        "key_id": key["key_id"],
        "description": "mine",
        "scopes": ["usage:read"],
        "expires_at": expires_at.isoformat().replace("+00:00", "Z"),
    }
    assert api.me(key["api_key"]).json() == body
    assert int(answer.headers["RateLimit-Limit"]) == 100
    assert int(answer.headers["RateLimit-Remaining"]) == 99
    assert 0 < int(answer.headers["RateLimit-Reset"]) <= 60


def test_an_expired_key_is_refused_from_the_instant_it_names(api: Api, control_plane: ControlPlane) -> None:
    expires_at = api.clock() + timedelta(minutes=10)
    key = api.known_key(control_plane.tenant(), expires_at=expires_at)
    assert api.me(key["api_key"]).status_code == 200

    api.clock.ahead = timedelta(minutes=10)

    assert_is_error(api.me(key["api_key"]), 401, "unauthorized")


def test_an_index_that_is_too_old_answers_503_rather_than_be_trusted(
    api: Api, control_plane: ControlPlane, local_bigquery: Emulator
) -> None:
    key = api.known_key(control_plane.tenant())
    api.go_ahead(timedelta())  # an earlier test may have let the indexes look in what is still to come
    assert api.me(key["api_key"]).status_code == 200

    # whatever wakes the followers meanwhile, a key that is not known for example, they read nothing
    with faults(local_bigquery, {"method": "GET */tables/*/data", "code": 403, "reason": "accessDenied"}):
        api.clock.ahead = timedelta(seconds=api.settings.key_index_max_age_seconds + 1)

        answer = api.me(key["api_key"])
        assert_is_error(answer, 503, "unavailable")
        assert int(answer.headers["Retry-After"]) > 0
        ready = api.call("GET", "/health/ready")
        assert ready.status_code == 503
        assert ready.json()["checks"]["key_index"]["status"] == "unhealthy"
        assert_is_error(api.call("GET", "/api/v1/tenants/me"), 401, "unauthorized")


def test_every_key_that_is_not_accepted_gets_the_same_401(api: Api, control_plane: ControlPlane) -> None:
    revoked = api.known_key(control_plane.tenant())
    api.admin("DELETE", f"/api-keys/{revoked['key_id']}")
    good = revoked["api_key"]
    keys = [
        None,
        "",
        "x",
        good,
        good[:-1],
        good.replace("cvg_dev_", "cvg_prod_"),
        "cvg_dev_" + "0" * 49,
        "ü" * 20,
    ]

    bodies = []
    for key in keys:
        headers = {} if key is None else {"X-API-Key": key.encode()}
        answer = api.call("GET", "/api/v1/tenants/me", headers=headers)
        error = assert_is_error(answer, 401, "unauthorized")
        assert "WWW-Authenticate" in answer.headers
        bodies.append({name: value for name, value in error.items() if name != "request_id"})

    assert all(body == bodies[0] for body in bodies)


def test_a_tenant_whose_profile_is_gone_gets_404(api: Api, control_plane: ControlPlane) -> None:
    tenant_id = control_plane.tenant()
    key = api.known_key(tenant_id)
    control_plane.bigquery.execute(
        "DELETE FROM tenants.tenant_profiles WHERE tenant_id = @tenant_id",
        [ScalarQueryParameter("tenant_id", "STRING", tenant_id)],
    )

    api.services.tenant_follower.refresh()

    assert_is_error(api.me(key["api_key"]), 404, "tenant_not_found")


@pytest.mark.parametrize("state", [TenantState.SUSPENDED, TenantState.OFFBOARDING])
def test_a_tenant_that_is_shut_out_gets_403_after_one_look_and_is_let_in_again_when_resumed(
    api: Api, control_plane: ControlPlane, state: TenantState
) -> None:
    tenant_id = control_plane.tenant()
    key = api.known_key(tenant_id)
    assert api.me(key["api_key"]).status_code == 200

    api.set_state(tenant_id, state)
    error = assert_is_error(api.me(key["api_key"]), 403, "tenant_suspended")
    assert "administrators" in error["message"]

    api.set_state(tenant_id, TenantState.ACTIVE)
    assert api.me(key["api_key"]).status_code == 200


def test_a_tenant_that_is_deleted_gets_404_and_one_that_is_not_ready_409(
    api: Api, control_plane: ControlPlane
) -> None:
    tenant_id = control_plane.tenant()
    key = api.known_key(tenant_id)

    api.set_state(tenant_id, TenantState.PROVISIONING)
    assert_is_error(api.me(key["api_key"]), 409, "tenant_not_active")

    api.set_state(tenant_id, TenantState.DELETED)
    assert_is_error(api.me(key["api_key"]), 404, "tenant_not_found")


def test_tenants_states_that_are_too_old_are_not_trusted(api: Api, control_plane: ControlPlane) -> None:
    key = api.known_key(control_plane.tenant())
    api.clock.ahead = timedelta(seconds=api.settings.tenant_index_max_age_seconds + 1)
    api.services.follower.refresh()

    assert_is_error(api.me(key["api_key"]), 503, "unavailable")
    checks = api.call("GET", "/health/ready").json()["checks"]
    assert checks["key_index"]["status"] == "healthy"
    assert checks["tenant_index"]["status"] == "unhealthy"


def test_a_tenant_is_told_nothing_of_the_platform_when_it_fails() -> None:
    reason = "Permission denied while querying: grant it with `gcloud projects add-iam-policy-binding p`."

    with pytest.raises(TransientError) as raised, for_a_tenant():
        raise PermanentError(ErrorCode.PERMISSION_DENIED, reason, {"host": "bigquery"})

    assert raised.value.code is ErrorCode.UNAVAILABLE
    assert "gcloud" not in raised.value.message
    assert raised.value.details == {}
    with pytest.raises(PermanentError, match="yours"), for_a_tenant():
        raise PermanentError(ErrorCode.NOT_FOUND, "It is yours to correct.")
