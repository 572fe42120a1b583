from typing import Any

import pytest

from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.warehouse.catalogue import central_tables
from convergence_orchestration_tests.api.dagster_standin import (
    DagsterStandIn,
    Launch,
    materialized,
    played_dagster,
)
from convergence_orchestration_tests.api.platform import ADMIN_KEY, Api, assert_is_error, patiently, served
from convergence_orchestration_tests.emulators import EmulatedSettings, fresh_project_id


def test_a_bootstrapped_platform_is_bootstrapped_again_without_a_change(api: Api) -> None:
    answer = api.admin(
        "POST", "/bootstrap", {"force_recreate_dataset": False, "force_recreate_tables": False}
    )

    assert answer.status_code == 200, answer.text
    body = answer.json()
    (launch,) = api.dagster.launches
    tables = sorted(table.name for table in central_tables())
    assert body == {
        "status": "SUCCESS",
        "dataset_created": False,
        "tables_created": [],
        "tables_existed": tables,
        "total_tables": len(tables),
        "snapshots": {},
        "run_id": launch.run_id,
        "run_url": f"{api.dagster.url}/runs/{launch.run_id}",
        "message": f"The platform is bootstrapped: 0 tables created, {len(tables)} were there.",
    }
    assert launch.job == "bootstrap"
    assert launch.tags == {
        "convergence/actor": "administrator",
        "convergence/call_id": answer.headers["X-Request-ID"],
    }


def test_what_a_run_made_and_recreated_is_told_with_its_snapshots(api: Api, dagster: DagsterStandIn) -> None:
    dagster.work["bootstrap"] = lambda _: [
        materialized("kms_key_ring", action="created"),
        materialized("tenants", "dataset", action="created"),
        materialized("tenants", "alerts", action="created"),
        materialized("tenants", "audit_log", action="recreated", snapshot="tenants_snapshots.audit_log_1"),
        materialized("tenants", "sealed_keys", action="existed"),
    ]

    body = api.admin("POST", "/bootstrap", {"force_recreate_tables": True}).json()

    assert body["dataset_created"] is True
    assert body["tables_created"] == ["alerts", "audit_log"]
    assert body["tables_existed"] == ["sealed_keys"]
    assert body["total_tables"] == 3
    assert body["snapshots"] == {"audit_log": "tenants_snapshots.audit_log_1"}
    assert dagster.launches[0].op_config() == {"force_recreate_dataset": False, "force_recreate_tables": True}


@pytest.mark.parametrize("content", [b"", b"{}", b"null"])
def test_the_body_may_be_left_out(api: Api, dagster: DagsterStandIn, content: bytes) -> None:
    headers = {"X-Admin-Key": ADMIN_KEY, "Content-Type": "application/json", "Prefer": "respond-async"}
    del dagster.work["bootstrap"]

    answer = api.call("POST", "/api/v1/admin/bootstrap", content=content, headers=headers)

    assert answer.status_code == 202, answer.text
    assert dagster.launches[0].op_config() == {
        "force_recreate_dataset": False,
        "force_recreate_tables": False,
    }


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"force_recreate_tables": "yes"}, "force_recreate_tables"),
        ({"force_recreate_everything": True}, "force_recreate_everything"),
        ([], "body"),
    ],
)
def test_options_that_are_wrong_or_unknown_get_422_and_nothing_is_launched(
    api: Api, dagster: DagsterStandIn, body: Any, field: str
) -> None:
    error = assert_is_error(api.admin("POST", "/bootstrap", body), 422, "invalid_argument")

    assert [detail["field"] for detail in error["details"]] == [field]
    assert dagster.launches == []


def test_a_bootstrap_past_the_callers_patience_gets_202_with_its_run(
    api: Api, dagster: DagsterStandIn
) -> None:
    del dagster.work["bootstrap"]

    answer = api.admin("POST", "/bootstrap", Prefer="wait=0")

    assert answer.status_code == 202
    (launch,) = dagster.launches
    assert answer.json()["status"] == "RUNNING"
    assert answer.json()["run_id"] == launch.run_id
    assert answer.headers["Location"] == f"{dagster.url}/runs/{launch.run_id}"


def test_a_failed_bootstrap_says_what_to_do_first(api: Api, dagster: DagsterStandIn) -> None:
    def fails(_: Launch) -> list[dict[str, Any]]:
        raise PermanentError(ErrorCode.PERMISSION_DENIED, "Grant roles/bigquery.admin.")

    dagster.work["bootstrap"] = fails

    error = assert_is_error(api.admin("POST", "/bootstrap"), 502, "permission_denied")

    assert error["message"] == "Grant roles/bigquery.admin."
    assert error["details"]["run_id"] == dagster.launches[0].run_id


def test_a_dagster_that_is_down_gets_503_and_nothing_is_launched(api: Api, dagster: DagsterStandIn) -> None:
    dagster.location = None

    answer = api.admin("POST", "/bootstrap")

    assert_is_error(answer, 503, "dagster_unavailable")
    assert "Retry-After" in answer.headers
    assert dagster.launches == []


def test_before_the_bootstrap_every_other_call_says_to_bootstrap(emulated_settings: EmulatedSettings) -> None:
    settings = patiently(emulated_settings(fresh_project_id()))
    with played_dagster() as dagster, served(settings, dagster) as api:
        api.wait_until_keys_are_known()
        answers = [
            api.admin("GET", "/tenants"),
            api.admin("GET", "/tenants/acmecorp"),
            api.admin("POST", "/tenants", {"tenant_id": "acmecorp"}),
            api.admin("POST", "/api-keys", {"tenant_id": "acmecorp"}),
            api.admin("DELETE", f"/api-keys/{'0' * 64}"),
        ]

        for answer in answers:
            error = assert_is_error(answer, 409, "not_bootstrapped")
            assert error["message"].startswith("Bootstrap the platform first: POST /api/v1/admin/bootstrap")
        assert dagster.launches == []
        assert api.call("GET", "/health/ready").status_code == 200
