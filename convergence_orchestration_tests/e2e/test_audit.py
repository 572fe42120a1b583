"""The audit log of a platform of real processes: API calls, their runs, a form of Dagster's UI, and a removed row."""

import json
import time
from typing import Any

from convergence_orchestration_tests.e2e.platform import PATIENCE, Platform

LAUNCH = """
mutation Launch($params: ExecutionParams!) {
  launchRun(executionParams: $params) { __typename ... on LaunchRunSuccess { run { runId } } }
}
"""


def launched_by_hand(platform: Platform, job: str, op: str, config: dict[str, object]) -> str:
    """A run as the launchpad starts it, once it has ended; its id."""
    selector = {
        "repositoryName": "__repository__",
        "repositoryLocationName": location(platform),
        "jobName": job,
    }
    params = {"selector": selector, "runConfigData": {"ops": {op: {"config": config}}}, "mode": "default"}
    run_id = str(platform.graphql(LAUNCH, params=params)["launchRun"]["run"]["runId"])
    deadline = time.monotonic() + PATIENCE
    while platform.run_status(run_id) not in {"SUCCESS", "FAILURE"}:
        assert time.monotonic() < deadline
        time.sleep(0.3)
    assert platform.run_status(run_id) == "SUCCESS"
    return run_id


def location(platform: Platform) -> str:
    data = platform.graphql(
        "{ repositoriesOrError { ... on RepositoryConnection { nodes { location { name } } } } }"
    )
    return str(data["repositoriesOrError"]["nodes"][0]["location"]["name"])


def listed(platform: Platform, *options: str) -> list[dict[str, Any]]:
    """The rows, the oldest first."""
    rows: list[dict[str, Any]] = json.loads(platform.convergence("audit", "list", "--json", *options).stdout)
    return rows[::-1]


def test_what_was_done_is_in_the_log_and_a_removed_row_is_found(platform: Platform) -> None:
    assert platform.admin("POST", "/tenants", {"tenant_id": "acmecorp"}, Prefer="wait=120").status_code == 200
    issued = platform.admin("POST", "/api-keys", {"tenant_id": "acmecorp"}, Prefer="wait=120").json()
    run_id = launched_by_hand(
        platform, "suspend_tenant", "suspend", {"tenant_id": "acmecorp", "reason": "unpaid"}
    )

    rows = listed(platform, "--tenant", "acmecorp")
    told = [(row["actor_kind"], row["actor"], row["action"], row["outcome"]) for row in rows]
    api, run, by_hand = (
        ("ADMIN_KEY", "administrator"),
        ("OPERATOR", "administrator"),
        ("OPERATOR", "dagster-ui"),
    )
    assert told == [
        (*api, "tenant.create", "ATTEMPTED"),
        (*api, "tenant.create", "SUCCEEDED"),
        (*api, "key.issue", "ATTEMPTED"),
        (*run, "run.issue_tenant_key", "ATTEMPTED"),
        (*run, "key.issued", "ATTEMPTED"),
        (*run, "run.issue_tenant_key", "SUCCEEDED"),
        (*api, "key.delivered", "ATTEMPTED"),
        (*api, "key.issue", "SUCCEEDED"),
        (*by_hand, "run.suspend_tenant", "ATTEMPTED"),
        (*by_hand, "run.suspend_tenant", "SUCCEEDED"),
    ]
    assert {row["run_id"] for row in rows[3:6]} == {issued["run_id"]}
    assert rows[-1]["run_id"] == run_id
    assert [row["outcome"] for row in listed(platform, "--action", "bootstrap")] == ["ATTEMPTED", "SUCCEEDED"]
    assert [row["outcome"] for row in listed(platform, "--action", "run.bootstrap")] == [
        "ATTEMPTED",
        "SUCCEEDED",
    ]
    assert issued["api_key"] not in repr(rows)
    assert issued["tenant_api_key_hash"] not in repr(rows)

    whole = platform.convergence("audit", "verify")
    assert whole.stdout.endswith("the log is whole.\n")

    platform.bigquery().query_and_wait("DELETE FROM tenants.audit_log WHERE action = 'key.issued'")
    broken = platform.convergence("audit", "verify", check=False)
    assert broken.returncode == 1
    assert broken.stdout.startswith(
        f"Between two rows of {rows[4]['writer_id']} row {rows[4]['sequence']} is missing."
    )
