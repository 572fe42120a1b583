from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from convergence_orchestration.launching.model import ProcessIdentity, WorkerRecord
from convergence_orchestration_tests.launching.builders import NOBODY, records_in, request


def test_an_accepted_request_is_read_back(tmp_path: Path) -> None:
    records = records_in(tmp_path)

    records.accept(request("a"))

    assert records.request("a") == request("a")
    assert records.has_open_requests()


def test_open_requests_come_in_the_order_in_which_they_were_accepted(tmp_path: Path) -> None:
    records = records_in(tmp_path)
    for run_id, accepted_at in (("a", 3), ("b", 1), ("c", 2)):
        records.accept(request(run_id, accepted_at))

    assert [one.run_id for one in records.open_requests()] == ["b", "c", "a"]


def test_a_closed_request_is_no_longer_open(tmp_path: Path) -> None:
    records = records_in(tmp_path)
    records.accept(request("a"))

    records.close("a")
    records.close("a")

    assert not records.has_open_requests()
    assert records.request("a") is None


def test_of_many_who_claim_a_run_one_gets_it(tmp_path: Path) -> None:
    records = records_in(tmp_path)
    with ThreadPoolExecutor(1) as threads:
        claims = list(threads.map(lambda pid: records.claim("a", ProcessIdentity(pid, "")), range(5)))

    assert claims == [True, False, False, False, False]
    assert records.worker("a") == WorkerRecord(ProcessIdentity(0, ""))


def test_a_worker_that_finished_says_so(tmp_path: Path) -> None:
    records = records_in(tmp_path)
    records.claim("a", NOBODY)

    records.finish("a")
    records.note_ending("a", "ended with exit code 0")

    assert records.worker("a") == WorkerRecord(NOBODY, is_finished=True, ending="ended with exit code 0")
    assert records.workers() == [records.worker("a")]


def test_the_ending_of_a_worker_that_never_claimed_its_run_is_not_noted(tmp_path: Path) -> None:
    records = records_in(tmp_path)

    records.note_ending("a", "was ended by signal 9")

    assert records.worker("a") is None


def test_half_written_files_count_as_none(tmp_path: Path) -> None:
    records = records_in(tmp_path)
    (records.directory / "a.request").write_text('{"run_id": "a"')
    (records.directory / "b.worker").write_text("")

    assert records.open_requests() == []
    assert records.worker("b") is None


def test_without_a_directory_there_are_no_records(tmp_path: Path) -> None:
    records = records_in(tmp_path)
    records.directory.rmdir()

    assert not records.has_open_requests()
    assert records.worker("a") is None


def test_run_ids_are_no_paths(tmp_path: Path) -> None:
    records = records_in(tmp_path)

    records.accept(request("../../etc/run"))

    assert [one.run_id for one in records.open_requests()] == ["../../etc/run"]
    assert [path.parent for path in tmp_path.rglob("*.request")] == [records.directory]


def test_old_claims_are_pruned_unless_their_run_is_open(tmp_path: Path) -> None:
    records = records_in(tmp_path)
    for run_id in ("open", "ended"):
        records.claim(run_id, NOBODY)
    records.accept(request("open"))
    draft = records.directory / ".ended.worker.1"
    draft.write_text("left by a process that was killed")
    touched = (records.directory / "ended.worker").stat().st_mtime

    records.prune(60, now=lambda: touched + 59)
    assert records.worker("ended") is not None

    records.prune(60, now=lambda: touched + 61)
    assert records.worker("ended") is None
    assert not draft.exists()
    assert records.worker("open") is not None
