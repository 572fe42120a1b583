"""How long API processes under load go on accepting a key that was revoked, and whether they refuse any other.

What belongs here: the load and the watching, for a test and for `benchmarks/revocation.py`.
"""

import asyncio
import time
from collections.abc import Callable, Sequence

import anyio.to_thread

from convergence_orchestration_tests.api.header_fuzz import NAME
from convergence_orchestration_tests.api.processes import ME
from convergence_orchestration_tests.api.raw_http import Connection, request

GIVE_UP_SECONDS = 30.0
_PAUSE_SECONDS = 0.01


async def seconds_until_refused(
    ports: Sequence[int], key: str, others: Sequence[str], revoke: Callable[[], None]
) -> list[float]:
    """Seconds from the end of `revoke` to the first refusal by each process, which then refuses for good.

    Raises:
        AssertionError: another key was refused (429 is no refusal of the key), or the key was still let in after 30 s or
            again after it was refused.
    """
    watches = [_Watch(port, key, others) for port in ports]
    async with asyncio.TaskGroup() as group:
        for watch in watches:
            group.create_task(watch.run())
        for watch in watches:
            await watch.has_let_in.wait()
        await anyio.to_thread.run_sync(revoke)
        revoked_at = time.monotonic()
        while not all(watch.refused_at for watch in watches):
            assert time.monotonic() - revoked_at < GIVE_UP_SECONDS, "the key is still let in"
            await asyncio.sleep(_PAUSE_SECONDS)
        await asyncio.sleep(1.0)  # refused for good, by each
        for watch in watches:
            watch.is_over = True
    return [watch.refused_at - revoked_at for watch in watches]


class _Watch:
    """Asks one process on and on: with the key that will be revoked, and with the others."""

    def __init__(self, port: int, key: str, others: Sequence[str]) -> None:
        self._port = port
        self._asked = request(ME, (NAME, key.encode()))
        self._others = [request(ME, (NAME, other.encode())) for other in others]
        self.has_let_in = asyncio.Event()
        self.refused_at = 0.0
        self.is_over = False

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._watch_the_key())
            for other in self._others:
                group.create_task(self._watch_another(other))

    async def _watch_the_key(self) -> None:
        connection = await Connection.to(self._port)
        while not self.is_over:
            status, _ = await connection.ask(self._asked)
            if status == 401 and self.has_let_in.is_set():
                self.refused_at = self.refused_at or time.monotonic()
            elif status in {200, 429}:
                assert not self.refused_at, "a refused key was let in again"
                self.has_let_in.set()
            await asyncio.sleep(_PAUSE_SECONDS)
        await connection.close()

    async def _watch_another(self, content: bytes) -> None:
        connection, was_let_in = await Connection.to(self._port), False
        while not self.is_over:
            status, _ = await connection.ask(content)
            was_let_in = was_let_in or status == 200
            assert status in {200, 429} or (status == 401 and not was_let_in), status
        await connection.close()
