"""When keys were last used, at minute precision: noted in memory at each request, appended once a minute.

What belongs here: the notes, the thread that appends them to `tenants.api_key_usage`, and reading them back. A process that
is killed loses the last minute of its notes; nothing that decides anything reads them.
"""

from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from threading import Event, Lock, Thread

from google.cloud.bigquery import ArrayQueryParameter

from convergence_orchestration.errors import ConvergenceError
from convergence_orchestration.gcp.bigquery import BigQuery
from convergence_orchestration.keys.model import KeyId, KeyRecord
from convergence_orchestration.logs import logger
from convergence_orchestration.tenancy.model import TenantId
from convergence_orchestration.warehouse.model import CENTRAL_DATASET

_LAST_USED = Path(__file__).with_name("last_used.sql").read_text(encoding="utf-8")
_log = logger(__name__)

APPEND_EVERY = 60.0
"""Seconds between two appends."""

APPEND_SECONDS = 4.0
"""So long an append is tried again, in seconds; then its notes wait for the next one."""

_Uses = dict[KeyId, tuple[TenantId, datetime]]


class UsageNotes:
    """The last use of each key that was not appended yet: no more of them than there are keys."""

    def __init__(self) -> None:
        self._uses: _Uses = {}
        self._changing = Lock()

    def note(self, record: KeyRecord, now: datetime) -> None:
        """The key was used at `now`."""
        with self._changing:
            self._uses[record.key_id] = (record.tenant_id, now)

    def take(self) -> _Uses:
        """What was noted since the last time, which is noted no longer."""
        with self._changing:
            taken, self._uses = self._uses, {}
        return taken

    def put_back(self, uses: _Uses) -> None:
        """Note again what could not be appended; a later use of the same key counts."""
        with self._changing:
            self._uses = {**uses, **self._uses}


class UsageRecorder:
    """Appends the notes every `interval` seconds as long as it runs, and once more when it stops.

    Args:
        bigquery: used in this thread alone.
        clock: the time now, UTC.
        interval: seconds from the end of one append to the next.
    """

    def __init__(
        self, bigquery: BigQuery, clock: Callable[[], datetime], interval: float = APPEND_EVERY
    ) -> None:
        self.notes = UsageNotes()
        self._bigquery = bigquery
        self._clock = clock
        self._interval = interval
        self._stopping = Event()
        self._thread = Thread(target=self._run, name="last uses of keys", daemon=True)

    def start(self) -> None:
        """Begin. Once in a recorder's life."""
        self._thread.start()

    def stop(self, timeout: float = 5.0) -> None:
        """Append what is left; waits `timeout` seconds for it. Harmless if it was never started."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(timeout)

    def append(self) -> None:
        """Append what was noted; what cannot be appended is noted again."""
        uses = self.notes.take()
        if not uses:
            return
        now = self._clock()
        try:
            self._bigquery.append(
                CENTRAL_DATASET, "api_key_usage", [_row(key_id, *use, now) for key_id, use in uses.items()]
            )
        except ConvergenceError as error:
            self.notes.put_back(uses)
            _log.warning("Last uses of keys wait to be written down", keys=len(uses), code=str(error.code))

    def _run(self) -> None:
        while not self._stopping.wait(self._interval):
            self._append_or_tell()
        self._append_or_tell()

    def _append_or_tell(self) -> None:
        try:
            self.append()
        except Exception:  # noqa: BLE001 a thread that died would write down nothing any more
            _log.exception("A defect kept last uses of keys from being written down")


def last_used(bigquery: BigQuery, key_ids: Iterable[KeyId]) -> dict[KeyId, datetime]:
    """The minute, UTC, in which each of these keys was last used, as far as it was written down; unused ones are left out.

    A use shows up within about a minute. Errors are those of `gcp.bigquery`; NOT_FOUND before the bootstrap.
    """
    asked = ArrayQueryParameter("key_ids", "STRING", sorted(set(key_ids)))
    return {KeyId(row["key_id"]): row["last_used_at"] for row in bigquery.query(_LAST_USED, [asked])}


def _row(key_id: KeyId, tenant_id: TenantId, used_at: datetime, now: datetime) -> dict[str, object]:
    minute = used_at.replace(second=0, microsecond=0)
    return {
        "event_id": f"{key_id}.{minute:%Y%m%dT%H%M}",
        "key_id": key_id,
        "tenant_id": tenant_id,
        "used_at": minute,
        "recorded_at": now,
    }
