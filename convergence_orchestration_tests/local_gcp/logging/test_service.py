import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from google.api_core.exceptions import InvalidArgument, MethodNotImplemented
from google.cloud.logging_v2.types import ListLogEntriesRequest

from convergence_orchestration.errors import ErrorCode, PermanentError, TransientError
from convergence_orchestration.gcp.clients import logging_client
from convergence_orchestration.gcp.log_filters import Severity, Wanted, filter_of
from convergence_orchestration.gcp.logs import LogFollower, Logs
from convergence_orchestration.local_gcp.logging.serving import serving
from convergence_orchestration.local_gcp.logging.sources import Sources
from convergence_orchestration.settings import load_settings

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
ALL = filter_of(Wanted())


class Written:
    """The log files of a machine, and a client that reads them through the local Cloud Logging."""

    def __init__(self, root: Path, logs: Logs) -> None:
        self.root = root
        self.logs = logs

    def say(self, process: str, seconds: float, message: str, **fields: object) -> None:
        path = self.root / "logs" / f"{process}.log"
        at = (NOON + timedelta(seconds=seconds)).isoformat()
        line = {"timestamp": at, "severity": "INFO", "name": "n", "msg": message, **fields}
        with path.open("a") as file:
            file.write(json.dumps(line) + "\n")

    def newest(self, limit: int = 100, **wanted: object) -> list[str]:
        found = self.logs.newest(filter_of(Wanted(**wanted)), limit)  # type: ignore[arg-type]
        return [line.message for line in found]


@pytest.fixture
def written(tmp_path: Path) -> Iterator[Written]:
    (tmp_path / "logs").mkdir()
    (tmp_path / "cloud" / "instance-logs").mkdir(parents=True)
    sources = Sources(tmp_path / "cloud", (tmp_path / "logs",), {"runs": tmp_path / "workers.log"})
    with serving(tmp_path / "cloud", sources) as port:
        settings = load_settings(_env_file=None, logging_emulator_host=f"127.0.0.1:{port}")
        logs = Logs(logging_client(settings), "a-project", total_seconds=1)
        yield Written(tmp_path, logs)
        logs.close()


def test_lines_of_all_processes_come_in_order_of_time(written: Written) -> None:
    written.say("api", 1, "one")
    written.say("daemon", 2, "two", count=3)
    written.say("api", 3, "three")

    found = written.logs.newest(ALL, 10)

    assert [(line.source, line.message) for line in found] == [
        ("api", "one"),
        ("daemon", "two"),
        ("api", "three"),
    ]
    assert found[1].fields == {"name": "n", "count": 3}
    assert (found[0].severity, found[0].timestamp) == ("INFO", NOON + timedelta(seconds=1))
    assert written.newest(2) == ["two", "three"]


def test_each_option_narrows_what_is_found(written: Written) -> None:
    written.say("api", 1, "of acme", tenant_id="acme", request_id="req-1")
    written.say("daemon", 2, "of a run", run_id="run-1", tenant_request_id="req-1", severity="ERROR")
    written.say("daemon", 3, "of nobody")

    assert written.newest(tenant_id="acme") == ["of acme"]
    assert written.newest(request_id="req-1") == ["of acme", "of a run"]
    assert written.newest(run_id="run-1") == ["of a run"]
    assert written.newest(severity=Severity.WARNING) == ["of a run"]
    assert written.newest(process="daemon") == ["of a run", "of nobody"]
    assert written.newest(since=NOON + timedelta(seconds=3)) == ["of nobody"]
    assert written.newest(revision="none") == []


def test_revisions_are_of_cloud_run_and_other_files_have_their_given_names(written: Written) -> None:
    (written.root / "cloud" / "instance-logs" / "api-1.log").write_text("started\n")
    (written.root / "workers.log").write_text("worked\n")

    assert written.newest(revision="api-1") == ["started"]
    assert written.newest(process="runs") == ["worked"]


def test_a_log_that_was_begun_anew_is_read_with_what_was_before(written: Written) -> None:
    written.say("api", 1, "of the first start")
    log = written.root / "logs" / "api.log"
    log.rename(log.with_name("api.log.1"))
    log.with_name("api.log.old").write_text("no log\n")
    written.say("api", 2, "of the second")

    assert written.newest() == ["of the first start", "of the second"]


def test_pages_have_every_entry_once_in_both_orders(written: Written) -> None:
    for number in range(25):
        written.say("api" if number % 3 else "daemon", number // 5, str(number))
    for order in ("timestamp asc", "timestamp desc"):
        request = ListLogEntriesRequest(
            resource_names=["projects/a-project"], filter=ALL, order_by=order, page_size=4
        )
        found = [str(entry.json_payload["msg"]) for entry in written.logs.client.list_log_entries(request)]
        assert sorted(map(int, found)) == list(range(25))
    assert next(written.logs.oldest(ALL)).timestamp == NOON


def test_a_follower_tells_each_new_line_once_also_late_ones(written: Written) -> None:
    written.say("api", 1, "shown")
    shown = written.logs.newest(ALL, 10)
    follower = LogFollower(written.logs, Wanted(), shown, NOON)
    assert list(follower.new_lines()) == []

    written.say("api", 20, "new")
    assert [line.message for line in follower.new_lines()] == ["new"]
    written.say("daemon", 10, "late")
    log = written.root / "logs" / "api.log"
    log.rename(log.with_name("api.log.1"))
    written.say("api", 21, "of the next start")

    assert [line.message for line in follower.new_lines()] == ["late", "of the next start"]
    assert list(follower.new_lines()) == []


def test_a_follower_of_nothing_begins_now(written: Written) -> None:
    written.say("api", 1, "before")
    follower = LogFollower(written.logs, Wanted(), [], NOON + timedelta(seconds=5))
    written.say("api", 6, "after")

    assert [line.message for line in follower.new_lines()] == ["after"]


@pytest.mark.parametrize(
    "fields",
    [
        {"resource_names": []},
        {"resource_names": ["folders/1"]},
        {"resource_names": ["projects/a-project"], "order_by": "severity"},
        {"resource_names": ["projects/a-project"], "page_size": -1},
        {"resource_names": ["projects/a-project"], "page_token": "no token"},
        {"resource_names": ["projects/a-project"], "page_token": "W10="},
    ],
)
def test_wrong_requests_are_refused(written: Written, fields: dict[str, object]) -> None:
    with pytest.raises(InvalidArgument):
        written.logs.client.list_log_entries(ListLogEntriesRequest(fields))


def test_what_is_not_served_is_said_to_be(written: Written) -> None:
    with pytest.raises(MethodNotImplemented, match="not served by the local cloud"):
        written.logs.client.list_log_entries(
            ListLogEntriesRequest(resource_names=["projects/a-project"], filter="jsonPayload.a : b")
        )


def test_refusals_are_our_errors(written: Written) -> None:
    with pytest.raises(PermanentError) as refused:
        written.logs.newest("severity >=", 10)
    assert refused.value.code is ErrorCode.INVALID_ARGUMENT

    (written.root / "cloud" / "faults.yaml").write_text(
        "- method: google.logging.v2.LoggingServiceV2/ListLogEntries\n  code: UNAVAILABLE\n"
    )
    with pytest.raises(TransientError):
        written.logs.newest(ALL, 10)
