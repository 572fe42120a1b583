import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from convergence_orchestration.local_gcp.logging.entries import Entry, Origin, entry_of, message_of
from convergence_orchestration.local_gcp.logging.files import LogFile, entries_back

ORIGIN = Origin("k8s_container", {"container_name": "daemon"})
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def a_line(seconds: float, message: str = "x", **fields: object) -> str:
    at = (NOON + timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")
    return json.dumps({"timestamp": at, "severity": "INFO", "name": "n", "msg": message, **fields}) + "\n"


def back(path: Path, since: datetime | None = None) -> list[Entry]:
    return list(entries_back(LogFile(path, ORIGIN), since))


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "daemon.log"


def test_lines_come_back_from_the_newest_whatever_their_lengths(log: Path) -> None:
    lines = [a_line(number, "m" * (number * 977 % 9000)) for number in range(400)]
    log.write_text("".join(lines))

    found = back(log)

    assert [entry.timestamp for entry in found] == [NOON + timedelta(seconds=n) for n in reversed(range(400))]
    assert [len(str(entry.fields["msg"])) for entry in found] == [
        n * 977 % 9000 for n in reversed(range(400))
    ]
    ids = [entry.insert_id for entry in found]
    assert ids == sorted(set(ids), reverse=True)


def test_a_line_that_is_just_being_written_is_left_for_the_next_look(log: Path) -> None:
    log.write_text(a_line(1) + a_line(2)[:-10])
    assert len(back(log)) == 1

    log.write_text("half a line")
    assert back(log) == []
    assert back(log.with_name("gone.log")) == []
    log.write_text("")
    assert back(log) == []


def test_lines_that_are_not_ours_are_text_at_the_time_of_the_line_above(log: Path) -> None:
    log.write_text(a_line(1) + "Traceback:\n  File x\n" + a_line(5) + '["a list"]\n{broken\n')

    found = [(entry.text, entry.severity, (entry.timestamp - NOON).total_seconds()) for entry in back(log)]

    assert found == [
        ("{broken", "DEFAULT", 5),
        ('["a list"]', "DEFAULT", 5),
        (None, "INFO", 5),
        ("  File x", "DEFAULT", 1),
        ("Traceback:", "DEFAULT", 1),
        (None, "INFO", 1),
    ]


def test_a_file_without_any_time_has_that_of_its_last_change(log: Path) -> None:
    log.write_text("one\ntwo\n")
    os.utime(log, (NOON.timestamp(), NOON.timestamp()))

    assert {entry.timestamp for entry in back(log)} == {NOON}


def test_what_is_older_is_not_read(log: Path) -> None:
    log.write_text("".join(a_line(minutes * 60) for minutes in range(60)))

    found = back(log, NOON + timedelta(minutes=50))

    assert len(found) <= 11, "a minute of disorder is allowed for"
    os.utime(log, (NOON.timestamp(), NOON.timestamp()))
    assert back(log, NOON + timedelta(minutes=50)) == []


def test_severity_and_time_become_the_entrys_own_and_all_else_is_the_payload() -> None:
    line = a_line(1, "done", tenant_id="acme", severity="warning").encode()
    entry = entry_of(line, ORIGIN, "1", NOON)

    assert (entry.severity, entry.timestamp) == ("WARNING", NOON + timedelta(seconds=1))
    assert entry.fields == {"name": "n", "msg": "done", "tenant_id": "acme"}


def test_a_time_without_a_zone_or_an_unknown_severity_stays_in_the_payload() -> None:
    entry = entry_of(b'{"timestamp": "2026-11-23T12:00:00", "severity": "LOUD"}', ORIGIN, "1", NOON)

    assert (entry.severity, entry.timestamp) == ("DEFAULT", NOON)
    assert set(entry.fields) == {"timestamp", "severity"}


def test_any_json_becomes_googles_message() -> None:
    fields = {"big": 2**60, "list": [1, {"a": None}], "text": "x", "yes": True}
    message = message_of(Entry(ORIGIN, NOON, "INFO", "1", fields), "a-project")

    assert message.resource.labels["project_id"] == "a-project"
    assert message.json_payload["big"] == str(2**60)
    assert message.json_payload["list"][1]["a"] is None
    assert message.json_payload["yes"] is True
