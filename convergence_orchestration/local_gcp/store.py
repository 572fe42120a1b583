"""One SQLite file for everything the local cloud knows.

What belongs here: resources as Google's own messages, serialised; secrets, sealed by the vault; and times at which
something is due. What a resource means is the services' business. A change is committed before its answer leaves, so
that it survives a kill -9.
"""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from convergence_orchestration.errors import PermanentError
from convergence_orchestration.local_gcp import messages
from convergence_orchestration.local_gcp.vault import Vault, key_from_file

_EPOCH = datetime.fromtimestamp(0, UTC)
_NO_UPPER_BOUND = 2**63 - 1


def _statements() -> dict[str, str]:
    text = Path(__file__).with_name("store.sql").read_text(encoding="utf-8")
    parts = (part.split("\n", 1) for part in text.split("-- name: ")[1:])
    return {name.strip(): sql for name, sql in parts}


_SQL = _statements()


@dataclass(frozen=True)
class Due:
    """Something whose time has come: which event of which resource, and when it was due."""

    name: str
    event: str
    at: datetime


class Rows:
    """What one transaction sees and changes."""

    def __init__(self, connection: sqlite3.Connection, vault: Vault) -> None:
        self._connection = connection
        self._vault = vault

    def get[M](self, kind: type[M], name: str) -> M | None:
        """The resource of this kind and name."""
        row = self._run("get", messages.full_name(kind), name).fetchone()
        return None if row is None else messages.from_bytes(kind, row[0])

    def insert(self, name: str, parent: str, resource: Any) -> None:  # noqa: ANN401 any message
        """Keep a new resource as the newest of its parent's; the caller has looked that the name is free."""
        kind = messages.full_name(type(resource))
        ordinal = self.last_ordinal(type(resource), parent) + 1
        self._run("insert", kind, name, parent, ordinal, messages.to_bytes(resource))

    def update(self, name: str, resource: Any) -> None:  # noqa: ANN401 any message
        """Keep a resource that is there in its new form."""
        self._run("update", messages.to_bytes(resource), messages.full_name(type(resource)), name)

    def delete(self, kind: type[Any], name: str) -> None:
        """Forget a resource."""
        self._run("delete", messages.full_name(kind), name)

    def last_ordinal(self, kind: type[Any], parent: str) -> int:
        """The number of the newest resource of this parent; 0 if there is none."""
        return int(self._run("last_ordinal", parent, messages.full_name(kind)).fetchone()[0])

    def count(self, kind: type[Any], parent: str) -> int:
        """How many resources of this kind the parent has."""
        return int(self._run("count", parent, messages.full_name(kind)).fetchone()[0])

    def oldest_first[M](self, kind: type[M], parent: str, after: int, limit: int) -> list[tuple[int, M]]:
        """At most `limit` resources behind the ordinal `after` (0: from the first), with their ordinals."""
        rows = self._run("oldest_first", parent, messages.full_name(kind), after, limit)
        return [(ordinal, messages.from_bytes(kind, body)) for ordinal, body in rows]

    def newest_first[M](self, kind: type[M], parent: str, after: int, limit: int) -> list[tuple[int, M]]:
        """At most `limit` resources before the ordinal `after` (0: from the last), with their ordinals."""
        rows = self._run("newest_first", parent, messages.full_name(kind), after or _NO_UPPER_BOUND, limit)
        return [(ordinal, messages.from_bytes(kind, body)) for ordinal, body in rows]

    def of_kind[M](self, kind: type[M]) -> list[M]:
        """All resources of this kind, whoever their parents are, by name; for kinds of which there are few."""
        rows = self._run("of_kind", messages.full_name(kind))
        return [messages.from_bytes(kind, body) for (body,) in rows]

    def seal(self, name: str, payload: bytes) -> None:
        """Keep a secret under a resource's name."""
        self._run("seal", name, self._vault.seal(name, payload))

    def open(self, name: str) -> bytes | None:
        """The secret kept under a resource's name."""
        row = self._run("open", name).fetchone()
        return None if row is None else self._vault.open(name, row[0])

    def erase(self, name: str) -> None:
        """Forget the secret kept under a resource's name; SQLite overwrites it with zeros."""
        self._run("erase", name)

    def set_timer(self, name: str, event: str, at: datetime | None) -> None:
        """Have `event` happen to the resource at this time, or (None) not at all."""
        if at is None:
            self._run("clear_timer", name, event)
        else:
            self._run("set_timer", name, event, _microseconds(at))

    def due(self, now: datetime) -> Due | None:
        """What is due first of all that is due."""
        row = self._run("due", _microseconds(now)).fetchone()
        return None if row is None else Due(row[0], row[1], _EPOCH + timedelta(microseconds=row[2]))

    def _run(self, statement: str, *parameters: str | int | bytes) -> sqlite3.Cursor:
        return self._connection.execute(_SQL[statement], parameters)


class Store:
    """The database of one data directory; safe to use from many threads.

    Raises:
        PermanentError: DATA_CORRUPTED, the directory holds secrets but not their key file.
    """

    def __init__(self, data_dir: Path) -> None:
        self._path = data_dir / "local-gcp.sqlite3"
        self._idle: list[sqlite3.Connection] = []
        self._idle_lock = threading.Lock()
        self._writer = threading.Lock()
        with self._borrowed() as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.executescript(_SQL["schema"])
            is_new = not connection.execute(_SQL["holds_sealed"]).fetchone()[0]
        try:
            self._vault = Vault(key_from_file(data_dir / "local-gcp.key", may_create=is_new))
        except PermanentError:
            self.close()
            raise

    @contextmanager
    def reading(self) -> Iterator[Rows]:
        """One consistent view of everything."""
        with self._borrowed() as connection, _transaction(connection, "BEGIN"):
            yield Rows(connection, self._vault)

    @contextmanager
    def writing(self) -> Iterator[Rows]:
        """One change of anything: all of it is committed at the end, or none after an exception."""
        with self._writer, self._borrowed() as connection, _transaction(connection, "BEGIN IMMEDIATE"):
            yield Rows(connection, self._vault)

    def close(self) -> None:
        """Close the file; nothing may be under way."""
        with self._idle_lock:
            while self._idle:
                self._idle.pop().close()

    @contextmanager
    def _borrowed(self) -> Iterator[sqlite3.Connection]:
        with self._idle_lock:
            connection = self._idle.pop() if self._idle else None
        connection = connection or self._connect()
        try:
            yield connection
        finally:
            with self._idle_lock:
                self._idle.append(connection)

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, timeout=30, isolation_level=None, check_same_thread=False)
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA secure_delete = ON")
        return connection


@contextmanager
def _transaction(connection: sqlite3.Connection, begin: str) -> Iterator[None]:
    connection.execute(begin)
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def _microseconds(at: datetime) -> int:
    return (at - _EPOCH) // timedelta(microseconds=1)
