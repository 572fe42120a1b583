"""Values that a caller may send as X-API-Key, from plain wrong to hostile, the same for the same seed; and sending them.

What belongs here: making and sending them. What must come back is said where this is used.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from random import Random

from convergence_orchestration.keys.token import KeyKind, assembled
from convergence_orchestration.settings import Environment
from convergence_orchestration_tests.api.processes import ME
from convergence_orchestration_tests.api.raw_http import Connection, request

NAME = b"X-API-Key"
_TOO_LONG = 300_000
_LINE_ENDS = (b"\r", b"\n", b"\0")

Headers = tuple[tuple[bytes, bytes], ...]


class Fuzz:
    """Requests with made-up keys; `known` are keys that must be refused all the same, revoked ones for example."""

    def __init__(self, seed: int, known: Sequence[str]) -> None:
        self._random = Random(seed)  # noqa: S311 reproducible, no secret
        self._known = [key.encode() for key in known]
        self._kinds: tuple[Callable[[], Headers], ...] = (
            self._bytes,
            self._text,
            self._mistyped,
            self._cut,
            self._of_elsewhere,
            self._stranger,
            self._known_one,
            self._spaced,
            self._twice,
            self._long,
        )

    def __call__(self) -> bytes:
        """A whole request."""
        if self._random.random() < 0.0005:
            return request(ME, (NAME, b"x" * _TOO_LONG))
        return request(ME, *self._random.choice(self._kinds)())

    def _bytes(self) -> Headers:
        return ((NAME, self._random.randbytes(self._random.randint(0, 200))),)

    def _text(self) -> Headers:
        letters = [chr(self._random.randint(32, 0x2FFF)) for _ in range(self._random.randint(0, 80))]
        return ((NAME, "".join(letters).encode()),)

    def _one(self) -> bytes:
        return self._random.choice(self._known) if self._known else self._stranger()[0][1]

    def _mistyped(self) -> Headers:
        key = bytearray(self._one())
        key[self._random.randrange(len(key))] ^= self._random.randint(1, 255)
        return ((NAME, bytes(key)),)

    def _cut(self) -> Headers:
        key = self._one()
        return ((NAME, key[: self._random.randrange(len(key))]),)

    def _of_elsewhere(self) -> Headers:
        kind = self._random.choice(list(KeyKind))
        environment = self._random.choice([Environment.STAGING, Environment.PRODUCTION])
        return ((NAME, assembled(kind, environment, self._random.randbytes(32)).get_secret_value().encode()),)

    def _stranger(self) -> Headers:
        key = assembled(KeyKind.TENANT, Environment.DEVELOPMENT, self._random.randbytes(32))
        return ((NAME, key.get_secret_value().encode()),)

    def _known_one(self) -> Headers:
        return ((NAME, self._one()),)

    def _spaced(self) -> Headers:
        space = self._random.choice([b" ", b"\t", b"\x0b", b"\xa0", b"\x85"])
        return ((NAME, self._one()[:20] + space + self._one()[20:]),)

    def _twice(self) -> Headers:
        return ((NAME, self._one()), (NAME.lower(), self._stranger()[0][1]))

    def _long(self) -> Headers:
        return ((NAME, self._one() + self._random.randbytes(self._random.randint(1, 20_000))),)


async def send(port: int, fuzz: Callable[[], bytes], count: int, connections: int = 16) -> Counter[int]:
    """Send so many requests; how often each status came, 0 for a connection closed without an answer."""
    statuses: Counter[int] = Counter()
    left = count

    async def ask_on_and_on() -> None:
        nonlocal left
        connection = await Connection.to(port)
        while left > 0:
            left -= 1
            content = fuzz()
            if not connection.is_open or _ends_lines(content):
                await connection.close()
                connection = await Connection.to(port)
            status, _ = await connection.ask(content)
            statuses[status] += 1
            if _ends_lines(content):
                await connection.close()
        await connection.close()

    await asyncio.gather(*(ask_on_and_on() for _ in range(connections)))
    return statuses


def _ends_lines(content: bytes) -> bool:
    """The value may make two requests of one: the answers behind the first must not be taken for another's."""
    value = content.split(NAME, 1)[-1].removesuffix(b"\r\n\r\n")
    return any(end in value for end in _LINE_ENDS)
