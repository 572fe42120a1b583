"""Counted requests in one SQLite file: by second for two hours, by ten seconds for a day, by minute for thirty days.

What belongs here: the rows, and the place in the access log up to which they count, changed in one transaction, so that
nothing is counted twice or left out whoever is killed. The front door writes; the local cloud's Monitoring reads.
"""

import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from convergence_orchestration.local_gcp.front_door.histogram import Histogram, bucket_of, merged

FINEST_SECONDS = 1
FINE_SECONDS = 10
COARSE_SECONDS = 60
KEPT_SECONDS = {FINEST_SECONDS: 2 * 3600, FINE_SECONDS: 24 * 3600, COARSE_SECONDS: 30 * 24 * 3600}


def _statements() -> dict[str, str]:
    text = Path(__file__).with_name("measurements.sql").read_text(encoding="utf-8")
    parts = (part.split("\n", 1) for part in text.split("-- name: ")[1:])
    return {name.strip(): sql for name, sql in parts}


_SQL = _statements()


@dataclass(frozen=True)
class Source:
    """Whose requests: one revision's with one response code."""

    project: str
    location: str
    service: str
    revision: str
    code: int


@dataclass(frozen=True)
class Request:
    """One request that reached an instance: when it ended (seconds since the epoch), and how long it took."""

    source: Source
    ended: float
    milliseconds: float


@dataclass(frozen=True)
class Amount:
    """How many requests, the sum of their milliseconds and of the squares of these, and the histogram of them."""

    count: int
    total: float
    squares: float
    histogram: Histogram

    @classmethod
    def of(cls, latencies: Iterable[float]) -> "Amount":
        """The amount of these latencies, in milliseconds."""
        known = list(latencies)
        histogram = merged({bucket_of(latency): 1} for latency in known)
        return cls(len(known), sum(known), sum(latency**2 for latency in known), histogram)

    @classmethod
    def sum(cls, amounts: Iterable["Amount"]) -> "Amount":
        """All together."""
        known = list(amounts)
        return cls(
            sum(amount.count for amount in known),
            sum(amount.total for amount in known),
            sum(amount.squares for amount in known),
            merged(amount.histogram for amount in known),
        )


@dataclass(frozen=True)
class Sample:
    """What one source did from `start` until `end`, seconds since the epoch."""

    source: Source
    start: int
    end: int
    amount: Amount


@dataclass(frozen=True)
class Position:
    """How far the access log is counted: bytes of its file with this number, and all requests ended before that time."""

    generation: int
    bytes: int
    complete_until: float


class Measurements:
    """The writer's connection; made with the file if there is none."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, timeout=30, isolation_level=None, check_same_thread=False)
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = NORMAL")
        self._connection.executescript(_SQL["schema"])

    def position(self) -> Position | None:
        """How far the log is counted; None if it never was."""
        return _position(self._connection)

    def add(self, requests: Iterable[Request], position: Position) -> None:
        """Count requests and remember the position, both or neither."""
        with _transaction(self._connection):
            for (grain, start, source), latencies in _cells(requests).items():
                self._add(grain, start, source, Amount.of(latencies))
            place = (position.generation, position.bytes, position.complete_until)
            self._connection.execute(_SQL["set_position"], place)

    def purge(self, now: float) -> None:
        """Forget what is older than is kept."""
        for grain, seconds in KEPT_SECONDS.items():
            self._connection.execute(_SQL["purge"], (grain, int(now) - seconds))

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def _add(self, grain: int, start: int, source: Source, amount: Amount) -> None:
        place = (grain, start, source.project, source.location, source.service, source.revision, source.code)
        row = self._connection.execute(_SQL["get"], place).fetchone()
        total = amount if row is None else Amount.sum([_amount(*row), amount])
        content = (total.count, total.total, total.squares, json.dumps(total.histogram))
        self._connection.execute(_SQL["put"], place + content)


def read_samples(
    path: Path, project: str, seconds: tuple[int, int], grain: int
) -> tuple[list[Sample], float]:
    """A project's samples that start within those seconds, and the time up to which they are complete.

    No file is no request yet: nothing, complete up to 0.
    """
    if not path.exists():
        return [], 0.0
    with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=30)) as connection:
        position = _position(connection)
        rows = connection.execute(_SQL["between"], (grain, *seconds, project)).fetchall()
    samples = [_sample(project, grain, *row) for row in rows]
    return samples, position.complete_until if position else 0.0


def _sample(
    project: str,
    grain: int,
    start: int,
    location: str,
    service: str,
    revision: str,
    code: int,
    *amount: object,
) -> Sample:
    return Sample(
        Source(project, location, service, revision, code),
        start,
        start + grain,
        _amount(*amount),  # type: ignore[arg-type]
    )


def _amount(count: int, total: float, squares: float, histogram: str) -> Amount:
    buckets = {int(bucket): number for bucket, number in json.loads(histogram).items()}
    return Amount(count, total, squares, buckets)


def _cells(requests: Iterable[Request]) -> dict[tuple[int, int, Source], list[float]]:
    cells: dict[tuple[int, int, Source], list[float]] = {}
    for request in requests:
        for grain in KEPT_SECONDS:
            start = int(request.ended) // grain * grain
            cells.setdefault((grain, start, request.source), []).append(request.milliseconds)
    return cells


def _position(connection: sqlite3.Connection) -> Position | None:
    row = connection.execute(_SQL["position"]).fetchone()
    return None if row is None else Position(*row)


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")
