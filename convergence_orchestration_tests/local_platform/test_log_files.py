from pathlib import Path

import pytest

from convergence_orchestration.local_platform.log_files import open_for_appending, rotate, tail


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "api.log"


def test_the_last_three_starts_are_kept(log: Path) -> None:
    rotate(log)
    for start in range(6):
        rotate(log)
        log.write_text(f"start {start}\n")

    names = sorted(path.name for path in log.parent.iterdir())
    assert names == ["api.log", "api.log.1", "api.log.2", "api.log.3"]
    assert log.with_name("api.log.3").read_text() == "start 2\n"


def test_a_log_is_for_its_owner_alone_and_only_grows(log: Path) -> None:
    for text in (b"one\n", b"two\n"):
        with open_for_appending(log) as file:
            file.write(text)

    assert log.read_text() == "one\ntwo\n"
    assert log.stat().st_mode & 0o077 == 0


def test_the_end_of_a_long_log_is_found(log: Path) -> None:
    log.write_text("".join(f"line {number} {'x' * 90}\n" for number in range(5000)))

    assert [line.split()[1] for line in tail(log, 3)] == ["4997", "4998", "4999"]
    assert len(tail(log, 10_000)) == 5000
    assert tail(log, 0) == []
    assert tail(log.with_name("nowhere.log"), 5) == []
