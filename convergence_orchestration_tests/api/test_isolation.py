"""Two tenants with keys of their own against the real API: whatever one sends, it sees and writes its own dataset only."""

from collections.abc import Iterator
from typing import Any

import pytest
from google.cloud.bigquery import ScalarQueryParameter

from convergence_orchestration.tenancy.model import TenantId, TenantState
from convergence_orchestration.warehouse.catalogue import tenant_tables
from convergence_orchestration.warehouse.model import tenant_dataset
from convergence_orchestration_tests.api.dagster_standin import DagsterStandIn
from convergence_orchestration_tests.api.own_dataset import RUNS, OwnCalls, own_calls, provisioned
from convergence_orchestration_tests.api.platform import Api, ControlPlane, assert_is_error

ME = "/api/v1/tenants/me"
CALLS = [("GET", ME), ("GET", f"{ME}/usage"), ("GET", f"{ME}/tables"), ("GET", RUNS), ("POST", RUNS)]
SQLISH = [
    "x' OR '1'='1",
    "run_a`; DROP TABLE pipeline_runs",
    "tenant_other.pipeline_runs",
    "../globex",
    "%00",
]


@pytest.fixture
def two(api: Api, control_plane: ControlPlane) -> Iterator[tuple[OwnCalls, OwnCalls]]:
    """Two tenants; the second has a run of its own."""
    tenants = [provisioned(control_plane) for _ in range(2)]
    mine, others = (own_calls(api, tenant_id) for tenant_id in tenants)
    assert others.start().status_code == 202
    yield mine, others
    for tenant_id in tenants:
        control_plane.bigquery.delete_dataset(tenant_dataset(tenant_id))


def rows_of(calls: OwnCalls) -> dict[str, int]:
    """Rows in each table of the tenant's dataset."""
    warehouse, dataset_id = calls.api.services.bigquery, tenant_dataset(calls.tenant_id)
    return {spec.name: warehouse.count_rows(dataset_id, spec.name) for spec in tenant_tables()}


def test_a_tenant_neither_sees_nor_changes_what_is_anothers(
    two: tuple[OwnCalls, OwnCalls], dagster: DagsterStandIn
) -> None:
    mine, others = two
    (theirs,) = others.get(RUNS).json()["pipeline_runs"]
    before = rows_of(others)

    assert_is_error(mine.get(f"{RUNS}/{theirs['pipeline_run_id']}"), 404, "not_found")
    assert mine.get(RUNS).json()["pipeline_runs"] == []
    assert mine.get(RUNS, before=theirs["pipeline_run_id"]).json()["pipeline_runs"] == []
    assert mine.get(f"{ME}/usage").json()["quota"]["runs_today"]["used"] == 0
    assert mine.get(f"{ME}/tables").json()["dataset_id"] == tenant_dataset(mine.tenant_id)
    started = mine.start()

    assert started.status_code == 202
    assert rows_of(others) == before
    assert dagster.launches[-1].op_config()["tenant_id"] == mine.tenant_id
    assert [run["pipeline_run_id"] for run in mine.get(RUNS).json()["pipeline_runs"]] == [
        started.json()["pipeline_run_id"]
    ]
    assert_is_error(others.get(started.headers["Location"]), 404, "not_found")


def test_one_idempotency_key_of_two_tenants_is_two_runs(two: tuple[OwnCalls, OwnCalls]) -> None:
    started = [calls.start(idempotency_key="nightly") for calls in two]

    assert [answer.status_code for answer in started] == [202, 202]
    assert len({answer.json()["pipeline_run_id"] for answer in started}) == 2


def test_naming_another_tenant_anywhere_changes_nothing(
    two: tuple[OwnCalls, OwnCalls], dagster: DagsterStandIn
) -> None:
    mine, others = two
    named = {"tenant_id": others.tenant_id, "dataset_id": tenant_dataset(others.tenant_id)}
    headers = {"X-API-Key": mine.key, "X-Tenant-Id": others.tenant_id, "Tenant": others.tenant_id}
    before = rows_of(others)

    for method, path in CALLS:
        body: dict[str, Any] = {"json": {"pipeline": "data_quality"}} if method == "POST" else {}
        answer = mine.api.call(method, path, headers=headers, params=named, **body)
        assert answer.status_code in {200, 202}, answer.text
        assert others.tenant_id not in answer.text

    assert rows_of(others) == before
    assert dagster.launches[-1].tags["convergence/tenant_id"] == mine.tenant_id


def test_a_body_that_names_a_tenant_is_refused(two: tuple[OwnCalls, OwnCalls]) -> None:
    mine, others = two
    before = rows_of(others), rows_of(mine)

    for body in (
        {"pipeline": "data_quality", "tenant_id": others.tenant_id},
        {"pipeline": "data_quality", "parameters": {"dataset": tenant_dataset(others.tenant_id)}},
        {
            "pipeline": "data_quality",
            "parameters": {"tables": [f"{tenant_dataset(others.tenant_id)}.step_logs"]},
        },
    ):
        assert_is_error(mine.start(body), 422, "invalid_argument")

    assert (rows_of(others), rows_of(mine)) == before


@pytest.mark.parametrize("text", SQLISH)
def test_names_that_look_like_sql_are_refused_or_taken_as_they_are(
    two: tuple[OwnCalls, OwnCalls], text: str
) -> None:
    mine, others = two
    before = rows_of(others)

    in_the_path = mine.get(f"{RUNS}/{text}")
    assert in_the_path.status_code in {404, 422}
    assert_is_error(mine.get(RUNS, before=text), 422, "invalid_argument")
    assert_is_error(mine.start({"pipeline": text}), 422, "invalid_argument")
    assert mine.start(idempotency_key=text.replace(" ", "_")).status_code == 202
    assert mine.get(RUNS).status_code == 200

    assert rows_of(others) == before


def test_a_suspended_tenant_is_refused_everywhere_and_the_other_is_not(
    two: tuple[OwnCalls, OwnCalls],
) -> None:
    mine, others = two
    mine.api.set_state(mine.tenant_id, TenantState.SUSPENDED)

    for method, path in CALLS:
        body: dict[str, Any] = {"json": {"pipeline": "data_quality"}} if method == "POST" else {}
        answer = mine.api.call(method, path, headers={"X-API-Key": mine.key}, **body)
        assert_is_error(answer, 403, "tenant_suspended")

    assert others.get(f"{ME}/usage").status_code == 200
    mine.api.set_state(mine.tenant_id, TenantState.ACTIVE)
    assert mine.get(f"{ME}/usage").status_code == 200


def test_the_tables_are_shown_with_their_columns_and_rows(two: tuple[OwnCalls, OwnCalls]) -> None:
    _, others = two

    shown = {table["name"]: table for table in others.get(f"{ME}/tables").json()["tables"]}

    assert shown.keys() == {spec.name for spec in tenant_tables()}
    assert (shown["pipeline_runs"]["rows"], shown["step_logs"]["rows"]) == (1, 0)
    assert {"name": "live_runs", "type": "STRING", "mode": "REPEATED"}.items() <= {
        column["name"]: column for column in shown["usage_daily"]["columns"]
    }["live_runs"].items()


def test_the_days_asked_for_are_shown(two: tuple[OwnCalls, OwnCalls]) -> None:
    _, others = two
    warehouse, today = others.api.services.bigquery, others.api.clock().date()
    warehouse.execute_in(
        tenant_dataset(others.tenant_id),
        "INSERT INTO usage_daily (usage_date, pipeline_runs, failed_runs, api_requests, bytes_processed, slot_ms, "
        "rows_written, updated_at) SELECT DATE_SUB(@day, INTERVAL back DAY), back, 1, 0, 0, 0, 2, CURRENT_TIMESTAMP() "
        "FROM UNNEST([1, 6, 7, 40]) AS back",
        [ScalarQueryParameter("day", "DATE", today)],
    )

    def counted(**params: int) -> list[int]:
        return [day["pipeline_runs"] for day in others.get(f"{ME}/usage", **params).json()["days"]]

    assert counted() == [1, 1, 6]
    assert counted(days=1) == [1]
    assert counted(days=60) == [1, 1, 6, 7, 40]
    assert_is_error(others.get(f"{ME}/usage", days=0), 422, "invalid_argument")


def test_a_tenant_whose_tables_are_not_there_is_told_to_ask_and_not_to_bootstrap(
    api: Api, control_plane: ControlPlane
) -> None:
    answer = own_calls(api, TenantId(control_plane.tenant())).get(f"{ME}/usage")

    error = assert_is_error(answer, 503, "unavailable")
    assert "administrators" in error["message"]
    assert "ootstrap" not in error["message"]
