import json
import math
import random
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from convergence_orchestration.errors import ErrorCode, TransientError
from convergence_orchestration.local_gcp.front_door.access_log import request_of
from convergence_orchestration.local_gcp.front_door.counting import Counting
from convergence_orchestration.local_gcp.front_door.histogram import (
    bucket_of,
    coarse_counts,
    merged,
    percentile,
)
from convergence_orchestration.local_gcp.front_door.measurements import (
    Amount,
    Measurements,
    Position,
    Request,
    Source,
    read_samples,
)

_START = datetime(2026, 11, 23, 12, tzinfo=UTC)
_SOURCE = Source("platform", "us-central1", "api", "api-1", 200)


def line(at: datetime = _START, **fields: Any) -> bytes:
    """One line as Envoy writes it."""
    entry = {
        "time": at.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "status": 200,
        "flags": "-",
        "duration_ms": 5,
        "duration_us": 5250,
        "project": "platform",
        "location": "us-central1",
        "service": "api",
        "revision": "api-1",
        "tag": None,
        "upstream": "127.0.0.1:4001",
    }
    return json.dumps({**entry, **fields}).encode() + b"\n"


@dataclass
class Log:
    """An access log, its writer and who counts it."""

    directory: Path
    now: datetime = _START + timedelta(minutes=5)
    max_bytes: int = 10_000_000
    is_dead: bool = False
    counting: Counting = field(init=False)
    measurements: Measurements | None = None

    def __post_init__(self) -> None:
        self.path = self.directory / "access.log"
        self.path.touch()
        self._open = self.path.open("ab", buffering=0)
        self.restart()

    def restart(self) -> None:
        """As after a kill: nothing is kept but the files."""
        if self.measurements is not None:
            self.measurements.close()
        self.measurements = Measurements(self.directory / "front_door.sqlite3")
        self.counting = Counting(self.path, self.measurements, self, lambda: self.now, self.max_bytes)

    def close(self) -> None:
        self._open.close()
        if self.measurements is not None:
            self.measurements.close()

    def reopen_logs(self) -> None:
        if self.is_dead:
            raise TransientError(ErrorCode.UNAVAILABLE, "Wait for Envoy.")
        self._open.close()
        self._open = self.path.open("ab", buffering=0)

    def write(self, *lines: bytes) -> None:
        self._open.write(b"".join(lines))

    def count(self) -> int:
        """Count all that is there; the number of requests counted by minute."""
        for _ in range(20):
            self.counting.round()
        samples, _ = read_samples(self.directory / "front_door.sqlite3", "platform", (0, 2**31), 60)
        return sum(sample.amount.count for sample in samples)


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    with closing(Log(tmp_path)) as log:
        yield log


def test_a_line_tells_whose_request_it_was_when_it_ended_and_how_long_it_took() -> None:
    assert request_of(line(tag="blue")) == Request(_SOURCE, _START.timestamp() + 0.00525, 5.25)
    assert request_of(line(duration_us=None)) == Request(_SOURCE, _START.timestamp() + 0.005, 5.0)


def test_a_caller_who_went_away_is_counted_as_499() -> None:
    request = request_of(line(status=0, flags="DC"))
    assert request is not None
    assert request.source.code == 499


@pytest.mark.parametrize(
    "fields",
    [
        {"flags": "UH", "upstream": None, "status": 503},
        {"flags": "UF", "status": 503},
        {"flags": "UO", "status": 429},
        {"flags": "NR", "revision": None, "upstream": None, "status": 404},
    ],
)
def test_what_no_instance_saw_is_not_counted(fields: dict[str, Any]) -> None:
    assert request_of(line(**fields)) is None


@pytest.mark.parametrize("text", [b"", b'{"time"', b"[]", b"{}", line()[:40] + line()])
def test_half_lines_and_other_lines_are_passed_over(text: bytes) -> None:
    assert request_of(text) is None


def test_an_instance_that_died_at_a_request_is_counted() -> None:
    request = request_of(line(status=503, flags="UC"))
    assert request is not None
    assert request.source.code == 503


def test_requests_are_counted_by_ten_seconds_and_by_minute(log: Log) -> None:
    log.write(*(line(_START + timedelta(seconds=second)) for second in (1, 9, 11, 59, 61)))
    assert log.count() == 5

    database = log.directory / "front_door.sqlite3"
    begin = int(_START.timestamp())
    minutes, complete = read_samples(database, "platform", (begin, begin + 300), 60)
    assert [(sample.start - begin, sample.amount.count) for sample in minutes] == [(0, 4), (60, 1)]
    fine, _ = read_samples(database, "platform", (begin, begin + 60), 10)
    assert [(sample.start - begin, sample.amount.count) for sample in fine] == [(0, 2), (10, 1), (50, 1)]
    assert complete == (log.now - timedelta(seconds=0.5)).timestamp()
    assert read_samples(database, "another", (begin, begin + 60), 10)[0] == []


def test_a_line_is_counted_when_it_is_whole_and_once(log: Log) -> None:
    log.write(line(), line()[:30])
    assert log.count() == 1
    log.restart()
    assert log.count() == 1
    log.write(line()[30:])
    assert log.count() == 2


def test_what_cannot_be_counted_whole_is_not_counted_at_all(tmp_path: Path) -> None:
    database = tmp_path / "front_door.sqlite3"
    with closing(Measurements(database)) as measurements:
        good = Request(_SOURCE, _START.timestamp(), 5.0)
        bad = Request(replace(_SOURCE, code=500), _START.timestamp(), math.nan)
        with pytest.raises(ValueError, match="NaN"):
            measurements.add([good, bad], Position(1, 500, 0.0))
        assert measurements.position() is None
        assert read_samples(database, "platform", (0, 2**31), 60)[0] == []
        measurements.add([good], Position(1, 500, 0.0))
        assert measurements.position() == Position(1, 500, 0.0)


def test_a_long_log_is_begun_anew_and_every_line_counted(log: Log, tmp_path: Path) -> None:
    log.max_bytes = 1000
    log.restart()
    for number in range(1, 31):
        log.write(line(), line())
        if number % 7 == 0:
            log.restart()
        assert log.count() == 2 * number

    formers = sorted(path.name for path in tmp_path.glob("access.log.*"))
    assert len(formers) == 3
    assert "access.log.1" not in formers
    assert log.path.stat().st_size < 2000


def test_while_the_writer_is_dead_the_retired_file_is_still_counted(log: Log) -> None:
    log.max_bytes, log.is_dead = 100, True
    log.restart()
    log.write(line())
    assert log.count() == 1
    assert not log.path.exists()
    log.write(line())  # Envoy still has the retired file open
    log.restart()
    assert log.count() == 2
    log.is_dead = False
    assert log.count() == 2
    log.write(line())
    assert log.count() == 3


def test_a_lost_log_is_no_error(log: Log) -> None:
    log.path.unlink()
    assert log.count() == 0


def test_a_log_longer_than_a_round_is_counted_in_several(log: Log) -> None:
    log.write(*[line()] * 5000)  # 1.4 MB
    assert log.counting.round()
    assert not log.counting.round()
    assert log.count() == 5000


def test_old_counts_are_forgotten(tmp_path: Path) -> None:
    database = tmp_path / "front_door.sqlite3"
    measurements = Measurements(database)
    assert measurements.position() is None
    now = _START.timestamp()
    ages = [timedelta(hours=1), timedelta(days=2), timedelta(days=31)]
    requests = [Request(_SOURCE, now - age.total_seconds(), 5.0) for age in ages]
    measurements.add(requests, Position(1, 0, 0.0))

    measurements.purge(now)

    assert len(read_samples(database, "platform", (0, 2**31), 60)[0]) == 2
    assert len(read_samples(database, "platform", (0, 2**31), 10)[0]) == 1
    measurements.close()


def test_no_database_is_no_request_yet(tmp_path: Path) -> None:
    assert read_samples(tmp_path / "none.sqlite3", "platform", (0, 1), 60) == ([], 0.0)


@pytest.mark.parametrize("percent", [5, 50, 95, 99])
def test_percentiles_are_within_two_per_cent_of_the_exact_ones(percent: float) -> None:
    chance = random.Random(7)  # noqa: S311 an example, always the same
    latencies = sorted(chance.lognormvariate(3, 1) for _ in range(2000))
    amount = Amount.of(latencies)

    exact = latencies[math.ceil(len(latencies) * percent / 100) - 1]
    assert percentile(amount.histogram, percent) == pytest.approx(exact, rel=0.02)
    assert percentile(Amount.of([0.0, 5.0]).histogram, 100) == pytest.approx(5.0, rel=0.02)


def test_fine_buckets_add_up_to_coarse_ones() -> None:
    histogram = merged({bucket_of(latency): 1} for latency in (0.0, 0.5, 1.1, 1.39, 1.41, 30.0))
    counts = coarse_counts(histogram)
    assert counts[:3] == [2, 2, 1]
    assert sum(counts) == 6
    assert 1.4 ** (len(counts) - 2) <= 30 < 1.4 ** (len(counts) - 1)
    assert coarse_counts({bucket_of(1e15): 1})[-1] == 1
    assert len(coarse_counts({bucket_of(1e15): 1})) == 68
    assert coarse_counts({}) == []
