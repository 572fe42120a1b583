"""The log in BigQuery itself: what is written verifies after it was read back, whatever befalls its writer."""

import signal
import subprocess
import sys
from datetime import timedelta

import pytest

from convergence_orchestration.audit.chain import head_at
from convergence_orchestration.audit.log import AuditFilter, AuditLog
from convergence_orchestration.audit.model import CLOSED, OPENED, Outcome
from convergence_orchestration.audit.verification import Verification, anchors_of, verify
from convergence_orchestration.audit.writer import AuditWriter
from convergence_orchestration.errors import ErrorCode, PermanentError, TransientError
from convergence_orchestration.gcp.bigquery import BigQuery
from convergence_orchestration.gcp.clients import bigquery_client
from convergence_orchestration.settings import Environment, Settings
from convergence_orchestration_tests.audit.builders import T0, chain, closed_chain, entry
from convergence_orchestration_tests.emulators import Emulator
from convergence_orchestration_tests.gcp.faults import faults
from convergence_orchestration_tests.warehouse.builders import with_tables

APPEND = "POST */tables/audit_log/insertAll"
KILLED = """
import sys
from datetime import UTC, datetime
from convergence_orchestration.audit.writer import AuditWriter
from convergence_orchestration.gcp.bigquery import BigQuery
from convergence_orchestration.gcp.clients import bigquery_client
from convergence_orchestration.settings import Environment, load_settings
from convergence_orchestration_tests.audit.builders import entry

settings = load_settings(_env_file=None, gcp_project_id=sys.argv[1], bigquery_emulator_host=sys.argv[2])
writer = AuditWriter(
    BigQuery(bigquery_client(settings)), sys.argv[3], Environment.DEVELOPMENT, lambda: datetime.now(UTC)
)
while True:
    writer.append(entry("written"))
    print("written", flush=True)
"""


@pytest.fixture
def warehouse(settings: Settings) -> BigQuery:
    return with_tables(settings, "audit_log")


def writer_in(warehouse: BigQuery, writer_id: str) -> AuditWriter:
    return AuditWriter(warehouse, writer_id, Environment.DEVELOPMENT, lambda: T0)


def verified(log: AuditLog) -> Verification:
    verification = Verification()
    verification.expect(anchors_of(log.openings()))
    for row in log.in_order():
        verification.see(row)
    verification.finish()
    return verification


def test_what_is_read_back_verifies_and_each_head_is_anchored_once(warehouse: BigQuery) -> None:
    log = AuditLog(warehouse)
    for writer_id in ("w1", "w2", "w3"):
        writer = writer_in(warehouse, writer_id)
        writer.append(entry("key.issue", path="/ü/key_1", status_code=200, details={"snow": "☃ \x00"}))
        writer.close()

    rows = list(log.in_order())

    assert [(row.writer_id, row.action) for row in rows[:3]] == [
        ("w1", OPENED),
        ("w1", "key.issue"),
        ("w1", CLOSED),
    ]
    anchored = [
        (anchor.head.writer_id, anchor.head.sequence, anchor.recorded_by) for anchor in anchors_of(rows)
    ]
    assert anchored == [("w1", 3, "w2"), ("w2", 3, "w3")]
    found = verified(log)
    assert (found.findings, found.notes, found.rows, found.writers) == ([], [], 9, 3)
    assert log.heads_to_anchor(T0 + timedelta(seconds=1)) == [], "nobody wrote since"
    assert log.heads_to_anchor(T0) == [head_at(rows[-1])]


def test_a_page_is_filtered_ordered_and_continued(warehouse: BigQuery) -> None:
    log = AuditLog(warehouse)
    rows = closed_chain("w", *(f"action {number}" for number in range(3)))
    log.append(rows)
    log.append([*closed_chain("v", "a"), rows[1]])

    newest = log.page(2, AuditFilter())
    older = log.page(10, AuditFilter(), (newest[-1].recorded_at, newest[-1].event_id))
    assert [row.event_id for row in (*newest, *older)] == [
        "w.5",
        "w.4",
        "w.3",
        "v.3",
        "w.2",
        "v.2",
        "w.1",
        "v.1",
    ]
    since, until = T0 + timedelta(seconds=1), T0 + timedelta(seconds=3)
    assert [row.event_id for row in log.page(9, AuditFilter(since=since, until=until))] == [
        "w.3",
        "v.3",
        "w.2",
        "v.2",
    ]
    wanted = AuditFilter("acme", "alice", "action 1", Outcome.SUCCEEDED)
    assert [row.event_id for row in log.page(9, wanted)] == ["w.3"]
    assert log.page(9, AuditFilter("globex")) == []


def test_a_lost_answer_and_a_refusal_leave_the_chain_whole(
    warehouse: BigQuery, local_bigquery: Emulator
) -> None:
    impatient = BigQuery(warehouse.client, total_seconds=0.5)
    writer = writer_in(impatient, "w")
    writer.append(entry("before"))
    with faults(local_bigquery, {"method": APPEND, "code": 503}), pytest.raises(TransientError):
        writer.append(entry("in doubt"))

    writer.append(entry("after"))

    assert [row.action for row in AuditLog(warehouse).in_order()] == [OPENED, "before", "in doubt", "after"]
    assert verified(AuditLog(warehouse)).findings == []


def test_without_a_table_nothing_is_written_and_later_all_is(settings: Settings) -> None:
    client = BigQuery(bigquery_client(settings))
    writer = writer_in(client, "w")
    with pytest.raises(PermanentError) as failed:
        writer.append(entry("too early"))
    assert failed.value.code is ErrorCode.NOT_FOUND

    warehouse = with_tables(settings, "audit_log")
    writer.append(entry("in time"))

    assert [row.action for row in AuditLog(warehouse).in_order()] == [OPENED, "in time"]


def test_a_recreated_table_says_which_rows_are_not_there(warehouse: BigQuery, settings: Settings) -> None:
    writer = writer_in(warehouse, "w")
    writer.append(entry("before"))
    warehouse.delete_table("tenants", "audit_log")
    with_tables(settings, "audit_log")
    writer.append(entry("after"))

    (finding,) = verify(list(AuditLog(warehouse).in_order()))

    assert "the rows before 3 are not there" in finding.sentence


def test_a_killed_writer_leaves_a_whole_chain_that_nobody_closed(
    warehouse: BigQuery, settings: Settings
) -> None:
    host = str(settings.bigquery_emulator_host)
    command = [sys.executable, "-c", KILLED, settings.gcp_project_id, host, "killed"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        for _ in range(3):
            assert child.stdout.readline() == b"written\n"
        child.send_signal(signal.SIGKILL)
    found = verified(AuditLog(warehouse))
    assert found.findings == []
    assert found.rows >= 4
    assert found.notes == [f"killed ended without closing, or still writes: row {found.rows}."]


def test_a_row_that_somebody_removed_from_the_table_is_found(warehouse: BigQuery) -> None:
    log = AuditLog(warehouse)
    log.append(chain("w", "a", "b"))
    warehouse.execute("DELETE FROM tenants.audit_log WHERE sequence = 2")
    (finding,) = verified(log).findings
    assert finding.sentence == "Between two rows of w row 2 is missing."
