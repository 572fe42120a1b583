import json
from typing import Any

import pytest

from convergence_orchestration.audit.log import AuditLog
from convergence_orchestration.gcp.bigquery import BigQuery
from convergence_orchestration.settings import Settings
from convergence_orchestration_tests.audit.builders import chain, closed_chain
from convergence_orchestration_tests.cli.api_standin import ApiStandin
from convergence_orchestration_tests.cli.conftest import CommandLine
from convergence_orchestration_tests.warehouse.builders import with_tables


def a_row(**more: object) -> dict[str, Any]:
    return {
        "event_id": "w.2",
        "recorded_at": "2026-11-23T08:00:00.123456Z",
        "action": "key.issue",
        "actor_kind": "ADMIN_KEY",
        "actor": "alice",
        "target_kind": "key",
        "target_id": "key_1",
        "tenant_id": "acme",
        "outcome": "REFUSED",
        "error_code": "key_exists",
        "source_address": "203.0.113.9",
        "run_id": None,
        **more,
    }


@pytest.fixture
def warehouse(settings: Settings, convergence: CommandLine, monkeypatch: pytest.MonkeyPatch) -> BigQuery:
    del convergence  # only so that it has cleared the environment before
    monkeypatch.setenv("GCP_PROJECT_ID", settings.gcp_project_id)
    monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", str(settings.bigquery_emulator_host))
    return with_tables(settings, "audit_log")


def test_rows_are_listed_by_what_is_asked_for(convergence: CommandLine, api: ApiStandin) -> None:
    api.answers = [(200, {"rows": [a_row()], "next_before": "c1"})]

    ended = convergence(
        *(
            "audit",
            "list",
            "--tenant",
            "acme",
            "--actor",
            "alice",
            "--action",
            "key.issue",
            "--outcome",
            "refused",
        ),
        *("--since", "2026-11-23T00:00:00Z", "--until", "2026-11-24T00:00:00Z", "--limit", "1"),
    )

    assert ended.exit_code == 0, ended.output
    for shown in ("2026-11-23 08:00:00", "alice", "key.issue", "key key_1", "acme", "REFUSED", "key_exists"):
        assert shown in ended.stdout
    assert "--limit 2 shows more" in ended.stderr
    assert api.sent[0].path.startswith("/api/v1/admin/audit?")
    for wanted in (
        "tenant_id=acme",
        "actor=alice",
        "action=key.issue",
        "outcome=REFUSED",
        "since=2026",
        "until=2026",
    ):
        assert wanted in api.sent[0].path


def test_nothing_found_is_said_and_json_is_for_programs(convergence: CommandLine, api: ApiStandin) -> None:
    api.answers = [
        (200, {"rows": [], "next_before": None}),
        (200, {"rows": [a_row()], "next_before": None}),
    ]
    assert "There is no such row." in convergence("audit", "list").stderr
    assert json.loads(convergence("audit", "list", "--json").stdout) == [a_row()]


def test_a_whole_log_is_told_with_how_much_was_checked(convergence: CommandLine, warehouse: BigQuery) -> None:
    AuditLog(warehouse).append([*closed_chain("w1", "a"), *chain("w2", "b")])

    ended = convergence("audit", "verify", "--google-cloud")

    assert ended.exit_code == 0, ended.output
    assert ended.stdout == "5 rows of 2 writers were checked: the log is whole.\n"
    assert ended.stderr == "Note: w2 ended without closing, or still writes: row 2.\n"


def test_each_finding_is_a_sentence_and_the_exit_status_says_so(
    convergence: CommandLine, warehouse: BigQuery
) -> None:
    rows = closed_chain("w1", "a", "b")
    AuditLog(warehouse).append([rows[0], *rows[2:]])

    ended = convergence("audit", "verify", "--google-cloud")
    as_json = convergence("audit", "verify", "--google-cloud", "--json")

    assert ended.exit_code == as_json.exit_code == 1
    assert ended.stdout == (
        "Between two rows of w1 row 2 is missing.\n3 rows of 1 writers were checked: 1 findings.\n"
    )
    found = json.loads(as_json.stdout)
    assert (found["whole"], found["rows"], found["writers"]) == (False, 3, 1)
    assert found["findings"][0]["sequence"] == 3


def test_without_a_log_or_a_platform_it_says_what_to_do(
    convergence: CommandLine, warehouse: BigQuery
) -> None:
    warehouse.delete_table("tenants", "audit_log")
    ended = convergence("audit", "verify", "--google-cloud")
    assert (ended.exit_code, ended.stderr.startswith("Bootstrap the platform first")) == (1, True), (
        ended.output
    )
    assert convergence("audit", "verify").exit_code == 4
