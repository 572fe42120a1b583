"""A load test: so many requests a second at one address for so long, and how they were answered.

What belongs here: sending at a fixed rate and adding up. Latency counts from when a request was due, so that a server which
stalls does not hide it by slowing the sender down ("coordinated omission").
"""

import asyncio
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import httpx

from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.releases.model import WHOLE, Numbers
from convergence_orchestration.releases.policy import ServiceTargets

MAX_RATE: Final = 500.0
MAX_SECONDS: Final = 3600.0
_KEPT_RATE: Final = 0.9
_FAILED_FROM: Final = 500


@dataclass(frozen=True)
class Answer:
    """One request: 0 for no answer at all; milliseconds since it was due."""

    status: int
    milliseconds: float


@dataclass(frozen=True)
class LoadResult:
    """What a load test found.

    Attributes:
        rate: requests a second that were really sent; `asked_rate` that were wanted.
        seconds: how long it took.
        errors: 5xx and no answer.
    """

    asked_rate: float
    rate: float
    seconds: float
    requests: int
    errors: int
    p50_ms: float
    p95_ms: float
    p99_ms: float

    @property
    def numbers(self) -> Numbers:
        """As evidence."""
        return {name: round(value, 3) for name, value in vars(self).items()}

    def problems(self, targets: ServiceTargets) -> tuple[str, ...]:
        """Which targets are missed, in words; exactly on a target is kept."""
        rate = self.errors / self.requests if self.requests else 1.0
        found = (
            (not self.requests, "Nothing was sent."),
            (
                rate > targets.allowed_errors,
                f"{rate * WHOLE:.2f} % errors, above {targets.allowed_errors * WHOLE:g} %.",
            ),
            (self.p95_ms > targets.p95_ms, f"P95 {self.p95_ms:.0f} ms, above {targets.p95_ms:g} ms."),
            (self.p99_ms > targets.p99_ms, f"P99 {self.p99_ms:.0f} ms, above {targets.p99_ms:g} ms."),
            (
                self.rate < _KEPT_RATE * self.asked_rate,
                f"{self.rate:.0f} requests a second instead of {self.asked_rate:g}: too slow here to tell.",
            ),
        )
        return tuple(words for is_so, words in found if is_so)


def check_load(rate: float, seconds: float, path: str) -> None:
    """Check what is asked of a load test.

    Raises:
        PermanentError: INVALID_ARGUMENT.
    """
    for name, value, most in (("rate", rate, MAX_RATE), ("seconds", seconds, MAX_SECONDS)):
        if not 0 < value <= most:
            raise PermanentError(
                ErrorCode.INVALID_ARGUMENT, f"Give a {name} above 0 and at most {most:g}.", {"field": name}
            )
    if not path.startswith("/"):
        raise PermanentError(ErrorCode.INVALID_ARGUMENT, "Give a path that begins with /.", {"field": "path"})


async def send(http: httpx.AsyncClient, url: str, rate: float, seconds: float) -> LoadResult:
    """The load; ends when the last answer is there."""
    begun = time.perf_counter()
    tasks = []
    for number in range(max(1, round(rate * seconds))):
        due = begun + number / rate
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        tasks.append(asyncio.create_task(_one(http, url, due)))
    sent_in = time.perf_counter() - begun
    answers = await asyncio.gather(*tasks)
    return summed_up(answers, rate, max(sent_in, len(tasks) / rate), time.perf_counter() - begun)


def summed_up(answers: Sequence[Answer], rate: float, sent_in: float, seconds: float) -> LoadResult:
    """The answers as a result; `sent_in` and `seconds` until the last was sent and was answered."""
    latencies = sorted(answer.milliseconds for answer in answers)
    errors = sum(1 for answer in answers if not answer.status or answer.status >= _FAILED_FROM)
    p50, p95, p99 = (_quantile(latencies, fraction) for fraction in (0.5, 0.95, 0.99))
    return LoadResult(rate, len(answers) / sent_in, seconds, len(answers), errors, p50, p95, p99)


def _quantile(ordered: Sequence[float], fraction: float) -> float:
    """The smallest latency that this fraction did not exceed; 0 for none at all."""
    if not ordered:
        return 0.0
    return ordered[max(0, math.ceil(len(ordered) * fraction) - 1)]


async def _one(http: httpx.AsyncClient, url: str, due: float) -> Answer:
    try:
        status = (await http.get(url)).status_code
    except httpx.HTTPError:
        status = 0
    return Answer(status, (time.perf_counter() - due) * 1000)
