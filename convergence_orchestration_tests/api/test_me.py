from datetime import timedelta

from google.cloud.bigquery import ScalarQueryParameter

from convergence_orchestration.keys.model import Scope
from convergence_orchestration_tests.api.platform import Api, ControlPlane, assert_is_error, new_tenant_id


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
    api: Api, control_plane: ControlPlane
) -> None:
    key = api.known_key(control_plane.tenant())
    assert api.me(key["api_key"]).status_code == 200

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

    assert_is_error(api.me(key["api_key"]), 404, "tenant_not_found")
