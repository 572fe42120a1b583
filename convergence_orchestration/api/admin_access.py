"""Which administrator calls: the keys of the settings or of Secret Manager, kept for a few seconds.

What belongs here: how long what was read is trusted. Which keys count is `keys/admins/accepted.py`. Secret Manager is asked
only when an administrator calls, so that fifty idle instances ask nothing.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial

import anyio
import anyio.to_thread

from convergence_orchestration.errors import ConvergenceError, ErrorCode, PermanentError
from convergence_orchestration.gcp.secrets import Secrets
from convergence_orchestration.keys.admin import MIN_LENGTH, AdminKey
from convergence_orchestration.keys.admins import roll
from convergence_orchestration.keys.admins.accepted import NOTHING, Accepted, Place, look
from convergence_orchestration.keys.admins.model import UNNAMED, secret_id_of
from convergence_orchestration.keys.token import KeyKind, is_well_formed
from convergence_orchestration.logs import logger
from convergence_orchestration.settings import Settings

FRESH_SECONDS = 5.0
"""So long a key is used without asking again: one that was disabled is refused after it."""

RECHECK_SECONDS = 1.0
"""A key that does not fit is compared with a newly read one, but not more often than this."""

NAMES_SECONDS = 60.0
"""So long a named administrator counts without asking whether there still is one."""

NAMES_RECHECK_SECONDS = 10.0
"""A key that fits nobody has the named administrators read again, but not more often than this."""

STALE_SECONDS = 300.0
"""So long a key is used while Secret Manager cannot be asked; then nobody is let in."""

_log = logger(__name__)
_Seconds = Callable[[], float]
_Clock = Callable[[], datetime]


class _Book:
    """The keys of one administrator, read again when they are not fresh."""

    def __init__(self, read: Callable[[Accepted], Accepted], seconds: _Seconds) -> None:
        self._read = read
        self._seconds = seconds
        self._lock = anyio.Lock()
        self._asked_at: float | None = None
        self._read_at: float | None = None
        self.known = NOTHING

    @property
    def was_asked(self) -> bool:
        """Secret Manager was asked once."""
        return self._asked_at is not None

    async def refreshed(self, fresh_seconds: float) -> Accepted:
        """The keys, read anew if what is known is older than `fresh_seconds`.

        Raises:
            ConvergenceError: Secret Manager cannot be asked, and what is known is too old to be trusted.
        """
        if self._is_older_than(fresh_seconds):
            async with self._lock:
                if self._is_older_than(fresh_seconds):
                    await self._look()
        return self.known

    def _is_older_than(self, seconds: float) -> bool:
        return self._asked_at is None or self._seconds() - self._asked_at >= seconds

    async def _look(self) -> None:
        try:
            self.known = await anyio.to_thread.run_sync(self._read, self.known)
            self._read_at = self._seconds()
        except ConvergenceError as error:
            if self._read_at is None or self._seconds() - self._read_at > STALE_SECONDS:
                self.known = NOTHING
                raise
            _log.warning("An administrators' key could not be read again", reason=error.message)
        self._asked_at = self._seconds()


class AdminAccess:
    """Answers which administrator a key is. `seconds` is a clock that only goes forward, `clock` tells the time."""

    def __init__(
        self,
        settings: Settings,
        secrets: Secrets,
        seconds: _Seconds = time.monotonic,
        clock: _Clock = lambda: datetime.now(UTC),
    ) -> None:
        self._environment = settings.environment
        self._secrets = secrets
        self._seconds = seconds
        self._clock = clock
        overlap = timedelta(hours=settings.admin_key_overlap_hours)
        self._place = Place(secrets, settings.environment, overlap)
        self._fixed = (
            AdminKey(settings.admin_api_key, "ADMIN_API_KEY", settings.environment)
            if settings.admin_api_key
            else None
        )
        self._own = self._book(UNNAMED)
        self._named: dict[str, _Book] = {}
        self._names_read_at: float | None = None
        self._names_listed_at: float | None = None
        self._reading_names = anyio.Lock()

    async def name_of(self, candidate: str) -> str | None:
        """The name of the administrator whose key `candidate` is; None if it is nobody's.

        Raises:
            ConvergenceError: Secret Manager cannot be asked, and what is known is too old to be trusted.
        """
        if self._fixed is not None:
            return UNNAMED if self._fixed.accepts(candidate) else None
        if not self._could_be_a_key(candidate):
            return None
        if await self._fits(self._own, candidate, FRESH_SECONDS):
            return UNNAMED
        if (name := await self._named_fitting(candidate, NAMES_SECONDS)) is not None:
            return name
        # it may be a key that was stored a moment ago
        if await self._fits(self._own, candidate, RECHECK_SECONDS):
            return UNNAMED
        return await self._named_fitting(candidate, NAMES_RECHECK_SECONDS)

    def _could_be_a_key(self, candidate: str) -> bool:
        """What is refused by its form costs Secret Manager nothing."""
        if candidate.startswith(f"{KeyKind.ADMIN}_"):
            return is_well_formed(candidate, self._environment, KeyKind.ADMIN)
        return len(candidate) >= MIN_LENGTH

    async def _fits(self, book: _Book, candidate: str, fresh_seconds: float) -> bool:
        return (await book.refreshed(fresh_seconds)).accepts(candidate, self._clock())

    async def _named_fitting(self, candidate: str, fresh_seconds: float) -> str | None:
        """The named administrator whose key it is, if the roll was read within `fresh_seconds` or can be read now."""
        is_new = await self._read_names(fresh_seconds)
        for name, book in list(self._named.items()):
            # whom the key does not fit is asked about again only with the roll, so that wrong keys cost little
            is_asked = is_new or not book.was_asked or book.known.accepts(candidate, self._clock())
            if is_asked and await self._fits_named(name, book, candidate):
                return name
        return None

    async def _fits_named(self, name: str, book: _Book, candidate: str) -> bool:
        try:
            return await self._fits(book, candidate, FRESH_SECONDS)
        except PermanentError as error:  # one administrator's secret keeps none of the others out
            _log.error("An administrator's key cannot be read", administrator=name, reason=error.message)
            return False

    async def _read_names(self, fresh_seconds: float) -> bool:
        """Read the roll if it is older than this: whether it was read.

        Raises:
            ConvergenceError: Secret Manager cannot be asked, and the roll is too old to be trusted.
        """
        async with self._reading_names:
            if self._names_read_at is not None and self._seconds() - self._names_read_at < fresh_seconds:
                return False
            try:
                found = await anyio.to_thread.run_sync(self._found_names)
            except ConvergenceError as error:
                if self._names_listed_at is None or self._seconds() - self._names_listed_at > STALE_SECONDS:
                    raise
                _log.warning("The administrators could not be listed again", reason=error.message)
                self._names_read_at = self._seconds()
                return False
            self._named = {name: self._named.get(name) or self._book(name) for name in found}
            self._names_read_at = self._names_listed_at = self._seconds()
            return True

    def _found_names(self) -> list[str]:
        try:
            return roll.names(self._secrets, self._environment)
        except PermanentError as error:
            if error.code is not ErrorCode.PERMISSION_DENIED:
                raise
            _log.warning(
                "Named administrators cannot be listed, so there are none here", reason=error.message
            )
            return []

    def _book(self, name: str) -> _Book:
        secret_id = secret_id_of(self._environment, name)
        return _Book(partial(self._look, secret_id), self._seconds)

    def _look(self, secret_id: str, known: Accepted) -> Accepted:
        return look(self._place, secret_id, known, self._clock())
