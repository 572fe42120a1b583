"""Whether a caller is an administrator: the key of the settings or of Secret Manager, kept for a few seconds.

What belongs here: how long a key read is trusted. What a key is and how it is compared is `keys/admin.py`.
"""

import time
from collections.abc import Callable

import anyio
import anyio.to_thread

from convergence_orchestration.errors import ConvergenceError, ErrorCode
from convergence_orchestration.gcp.secrets import Secrets
from convergence_orchestration.keys import admin
from convergence_orchestration.keys.admin import AdminKey
from convergence_orchestration.logs import logger
from convergence_orchestration.settings import Settings

FRESH_SECONDS = 5.0
"""So long a key is used without asking again: a rotated key is refused after it."""

RECHECK_SECONDS = 1.0
"""A key that does not fit is compared with a newly read one, but not more often than this."""

STALE_SECONDS = 300.0
"""So long a key is used while Secret Manager cannot be asked; then nobody is let in."""

_log = logger(__name__)


class AdminAccess:
    """Answers who is an administrator. `seconds` is a clock that only goes forward."""

    def __init__(
        self, settings: Settings, secrets: Secrets, seconds: Callable[[], float] = time.monotonic
    ) -> None:
        self._settings = settings
        self._secrets = secrets
        self._seconds = seconds
        self._key: AdminKey | None = None
        self._asked_at: float | None = None
        self._read_at = 0.0
        self._reading = anyio.Lock()

    async def accepts(self, candidate: str) -> bool:
        """`candidate` is the administrators' key.

        Raises:
            TransientError: Secret Manager cannot be asked, and the key last read is too old to be trusted.
        """
        key = await self._current(FRESH_SECONDS)
        if key is not None and key.accepts(candidate):
            return True
        # it may be a key that was stored a moment ago
        key = await self._current(RECHECK_SECONDS)
        return key is not None and key.accepts(candidate)

    async def _current(self, fresh_seconds: float) -> AdminKey | None:
        """The key, read anew if what is known is older than `fresh_seconds`; None if there is none."""
        if self._is_known_for_less_than(fresh_seconds):
            return self._key
        async with self._reading:
            if not self._is_known_for_less_than(fresh_seconds):
                await self._read()
        return self._key

    def _is_known_for_less_than(self, seconds: float) -> bool:
        if self._asked_at is None:
            return False
        return self._settings.admin_api_key is not None or self._seconds() - self._asked_at < seconds

    async def _read(self) -> None:
        try:
            self._key = await anyio.to_thread.run_sync(admin.read, self._settings, self._secrets)
            self._read_at = self._seconds()
        except ConvergenceError as error:
            if error.code in {ErrorCode.NOT_FOUND, ErrorCode.INVALID_SETTINGS}:
                _log.error(
                    "There is no usable administrators' key, so nobody is let in", reason=error.message
                )
                self._key = None
            elif self._key is None or self._seconds() - self._read_at > STALE_SECONDS:
                raise
            else:
                _log.warning("The administrators' key could not be read again", reason=error.message)
        self._asked_at = self._seconds()
