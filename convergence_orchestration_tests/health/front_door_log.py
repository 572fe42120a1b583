"""The front door's raw access log as the judge of reported levels: every request by itself, no bucket and no meter."""

import json
import math
import random
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx

from convergence_orchestration.gcp.clients import monitoring_client
from convergence_orchestration.gcp.monitoring import Monitoring
from convergence_orchestration.health.levels.reading import LevelsReader
from convergence_orchestration.health.model import Window
from convergence_orchestration.local_gcp.server import serving
from convergence_orchestration.settings import load_settings
from convergence_orchestration_tests.local_gcp.front_door.doors import (
    PROJECT,
    Door,
    Instance,
    eventually,
    revision,
    running_door,
    service,
)

LOG = "access.log"


@dataclass(frozen=True)
class Logged:
    """One request of the raw log."""

    revision: str
    status: int
    ended: datetime
    milliseconds: float


@dataclass(frozen=True)
class Exact:
    """What the requests themselves say."""

    requests: int
    error_rate: float
    p95_ms: float
    p99_ms: float


def logged(data_dir: Path, start: datetime, end: datetime) -> list[Logged]:
    """The requests that ended between two moments."""
    entries = map(json.loads, (data_dir / LOG).read_text().splitlines())
    requests = (_logged(entry) for entry in entries if entry["upstream"] is not None)
    return [one for one in requests if start < one.ended <= end]


def _logged(entry: dict[str, object]) -> Logged:
    took = float(str(entry["duration_us"])) / 1000
    began = datetime.fromisoformat(str(entry["time"]))
    ended = began + timedelta(milliseconds=took)
    return Logged(str(entry["revision"]), int(str(entry["status"])), ended, took)


def exact(requests: Sequence[Logged]) -> Exact:
    """Percentiles by rank: the smallest latency that so many percent do not exceed."""
    taken = sorted(one.milliseconds for one in requests)
    errors = sum(one.status >= 500 for one in requests)
    p95, p99 = (taken[math.ceil(share * len(taken)) - 1] for share in (0.95, 0.99))
    return Exact(len(taken), errors / len(taken), p95, p99)


@contextmanager
def measured_door(data_dir: Path) -> Iterator[tuple[Door, LevelsReader]]:
    """A front door over two revisions, and the levels that Monitoring reports of it."""
    with running_door(data_dir) as door, serving(data_dir) as ports:
        door.serve(
            service(
                revision("api-1", Instance("1"), percent=70), revision("api-2", Instance("2"), percent=30)
            )
        )
        settings = load_settings(_env_file=None, monitoring_emulator_host=f"127.0.0.1:{ports.grpc}")
        monitoring = Monitoring(monitoring_client(settings), PROJECT)
        try:
            yield (
                door,
                LevelsReader(monitoring, "development", "api", settings.meter_step, settings.meter_late),
            )
        finally:
            monitoring.close()


@dataclass
class SpreadLoad:
    """Requests that take between 5 ms and a second, most of them little; one of a hundred fails."""

    door: Door
    seconds: float
    threads: int = 8
    asked: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def run(self) -> None:
        """Ask from several threads until the time is over."""
        until = time.monotonic() + self.seconds
        workers = [threading.Thread(target=self._ask, args=(seed, until)) for seed in range(self.threads)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()

    def _ask(self, seed: int, until: float) -> None:
        chance = random.Random(seed)  # noqa: S311 a made-up load
        with httpx.Client(headers={"Host": "api.localhost"}, timeout=20) as client:
            while time.monotonic() < until:
                client.get(self.door.url + _path(chance))
                with self._lock:
                    self.asked += 1


def _path(chance: random.Random) -> str:
    if chance.random() < 0.01:
        return "/status/503"
    return f"/wait/{min(1.0, 0.005 + chance.lognormvariate(-4.0, 0.8)):.4f}"


def wait_until_complete(reader: LevelsReader, ended: datetime) -> datetime:
    """A moment by which everything that ended then is in a window of five minutes."""

    def look() -> datetime | None:
        now = datetime.now(UTC)
        return now if reader.end_of(Window.FIVE_MINUTES, now - timedelta(seconds=1)) >= ended else None

    return eventually(look)
