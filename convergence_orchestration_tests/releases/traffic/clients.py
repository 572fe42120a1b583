"""Clients that ask the service at a fixed rate, whatever it does: one that hangs does not slow them down."""

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import httpx

from convergence_orchestration.releases.answering import load_client
from convergence_orchestration_tests.releases.cloud import Works

PATIENCE_SECONDS = 3.0
"""After so long a client gives up."""
SLOW_SECONDS = 0.5
_CONNECTIONS = 300


@dataclass(frozen=True)
class Answer:
    """One request: when it was sent (seconds since 1970), the status or what went wrong, how long it took, and who answered."""

    sent: float
    status: int | str
    seconds: float
    revision: str = ""

    def is_bad(self, candidate: str) -> bool:
        """Whether it failed or came late by the candidate's doing; a failure that names nobody is taken for the candidate's."""
        if self.revision not in {"", candidate}:
            return False
        return self.status != httpx.codes.OK or self.seconds > SLOW_SECONDS


@dataclass
class Answers:
    """What clients were answered until now."""

    all: list[Answer] = field(default_factory=list)
    stopping: threading.Event = field(default_factory=threading.Event)

    @property
    def counts(self) -> Counter[int | str]:
        return Counter(one.status for one in self.all)

    @property
    def failed(self) -> list[Answer]:
        return [one for one in self.all if one.status != httpx.codes.OK]

    def bad(self, candidate: str, since: float = 0.0) -> list[Answer]:
        """The requests sent since then that were harmed, in the order in which they were sent."""
        found = [one for one in self.all if one.sent >= since and one.is_bad(candidate)]
        return sorted(found, key=lambda one: one.sent)


@contextmanager
def asking(works: Works, rate: float) -> Iterator[Answers]:
    """So many requests a second to the service's address until the end of the block; then all have ended."""
    service = works.site.run.find_service(works.service)
    assert service is not None
    answers, authority = Answers(), works.site.settings.run_authority_file
    thread = threading.Thread(
        target=lambda: asyncio.run(_ask(authority, f"{service.uri}/work", rate, answers))
    )
    thread.start()
    try:
        yield answers
    finally:
        answers.stopping.set()
        thread.join()


async def _ask(authority: str | None, url: str, rate: float, answers: Answers) -> None:
    begun, number = time.monotonic(), 0
    async with load_client(authority, _CONNECTIONS, PATIENCE_SECONDS) as http, asyncio.TaskGroup() as group:
        while not answers.stopping.is_set():
            group.create_task(_one(http, url, answers))
            number += 1
            await asyncio.sleep(max(0.0, begun + number / rate - time.monotonic()))


async def _one(http: httpx.AsyncClient, url: str, answers: Answers) -> None:
    sent, began = time.time(), time.monotonic()
    status: int | str
    try:
        answer = await http.get(url)
        status, revision = answer.status_code, _revision(answer)
    except httpx.TransportError as error:
        status, revision = type(error).__name__, ""
    answers.all.append(Answer(sent, status, time.monotonic() - began, revision))


def _revision(answer: httpx.Response) -> str:
    try:
        return str(answer.json().get("revision", ""))
    except ValueError:
        return ""  # the front door's own sentences are no JSON
