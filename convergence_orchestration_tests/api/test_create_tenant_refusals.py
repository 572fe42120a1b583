from typing import Any

import pytest

from convergence_orchestration_tests.api.dagster_standin import DagsterStandIn
from convergence_orchestration_tests.api.platform import Api, ControlPlane, assert_is_error, new_tenant_id


def assert_nothing_was_changed(plane: ControlPlane, dagster: DagsterStandIn, tenant_id: str) -> None:
    assert dagster.launches == []
    assert plane.requests_for(tenant_id) == []
    assert plane.bigquery.get_dataset(f"tenant_{tenant_id}") is None


@pytest.mark.parametrize(
    "tenant_id", ["Acme", "ac", "1acme", "acme-corp", "a" * 51, "acme corp", "äcme", "", "acme\n"]
)
def test_an_id_that_breaks_the_pattern_gets_422(api: Api, dagster: DagsterStandIn, tenant_id: str) -> None:
    answer = api.admin("POST", "/tenants", {"tenant_id": tenant_id})

    error = assert_is_error(answer, 422, "invalid_tenant_id")
    assert error["message"].startswith("Choose a tenant id of 3 to 50 characters")
    assert error["details"] == [{"field": "tenant_id", "message": error["message"]}]
    assert dagster.launches == []


@pytest.mark.parametrize("tenant_id", ["tenants", "admin", "information_schema"])
def test_a_reserved_id_gets_422(
    api: Api, control_plane: ControlPlane, dagster: DagsterStandIn, tenant_id: str
) -> None:
    error = assert_is_error(
        api.admin("POST", "/tenants", {"tenant_id": tenant_id}), 422, "reserved_tenant_id"
    )

    assert error["details"][0]["field"] == "tenant_id"
    assert_nothing_was_changed(control_plane, dagster, tenant_id)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"plan": "GOLD"}, "plan"),
        ({"plan": "starter"}, "plan"),
        ({"admin_email": "nobody"}, "admin_email"),
        ({"company_name": "a" * 201}, "company_name"),
        ({"description": "a\x00b"}, "description"),
        ({"description": 7}, "description"),
        ({"company_name": None}, "company_name"),
        ({"principal": "ops@acme.example"}, "principal"),
        ({"principal": "robot:ops@acme.example"}, "principal"),
        ({"owner": "s3cret-value"}, "owner"),
        ({"tenant_id": 7}, "tenant_id"),
    ],
)
def test_a_field_that_is_wrong_or_unknown_gets_422_which_names_it_and_not_its_value(
    api: Api, control_plane: ControlPlane, dagster: DagsterStandIn, fields: dict[str, Any], field: str
) -> None:
    tenant_id = new_tenant_id()

    answer = api.admin("POST", "/tenants", {"tenant_id": tenant_id} | fields)

    error = assert_is_error(answer, 422, "invalid_argument")
    assert [detail["field"] for detail in error["details"]] == [field]
    assert "s3cret-value" not in answer.text
    assert_nothing_was_changed(control_plane, dagster, tenant_id)


@pytest.mark.parametrize(
    "content",
    [b'{"tenant_id": "acme"', b"{'a': 1}", b"\xff\xfe", b"[" * 100_000, b'{"a": 1' + b"0" * 5000 + b"}"],
)
def test_malformed_json_gets_422(api: Api, dagster: DagsterStandIn, content: bytes) -> None:
    headers = {"X-Admin-Key": "admin_for_the_tests_alone", "Content-Type": "application/json"}

    answer = api.call("POST", "/api/v1/admin/tenants", content=content, headers=headers)

    assert_is_error(answer, 422, "malformed_json")
    assert dagster.launches == []


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", None])
def test_a_body_that_is_not_sent_as_json_gets_422_which_says_how(api: Api, content_type: str | None) -> None:
    headers = {"X-Admin-Key": "admin_for_the_tests_alone"} | (
        {"Content-Type": content_type} if content_type else {}
    )

    answer = api.call("POST", "/api/v1/admin/tenants", content=b'{"tenant_id": "acme"}', headers=headers)

    error = assert_is_error(answer, 422, "invalid_argument")
    assert error["details"][0]["message"].endswith("Content-Type: application/json")


def test_no_body_gets_422(api: Api) -> None:
    error = assert_is_error(api.admin("POST", "/tenants"), 422, "invalid_argument")

    assert error["details"] == [{"field": "body", "message": "is required"}]
