"""What is kept in memory for a while: looks of readiness, and the ledger before there is one."""

from collections.abc import Sequence
from datetime import UTC, datetime

import anyio
import pytest

from convergence_orchestration.api.key_source import LedgerOnceBootstrapped
from convergence_orchestration.api.readiness import CACHED_FAILURE_SECONDS, CACHED_SECONDS, Probe
from convergence_orchestration.errors import ConvergenceError, ErrorCode, PermanentError, TransientError
from convergence_orchestration.keys.model import KeyEvent

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


class Ledger:
    """A ledger that cannot be read."""

    def __init__(self, error: ConvergenceError) -> None:
        self._error = error

    def all(self) -> Sequence[KeyEvent]:
        raise self._error

    def events_since(self, since: datetime) -> Sequence[KeyEvent]:
        assert since == NOW
        raise self._error


def test_a_ledger_that_is_not_there_yet_is_empty() -> None:
    ledger = LedgerOnceBootstrapped(Ledger(PermanentError(ErrorCode.NOT_FOUND, "No such table.")))

    assert ledger.all() == ()
    assert ledger.events_since(NOW) == ()


@pytest.mark.parametrize(
    "error",
    [TransientError(ErrorCode.UNAVAILABLE, "Down."), PermanentError(ErrorCode.PERMISSION_DENIED, "Not you.")],
)
def test_a_ledger_that_cannot_be_read_is_not_an_empty_one(error: ConvergenceError) -> None:
    with pytest.raises(type(error)):
        LedgerOnceBootstrapped(Ledger(error)).all()


class Looked:
    def __init__(self) -> None:
        self.looks = 0
        self.seconds = 100.0
        self.error: ConvergenceError | None = None
        self.hangs = False

    async def look(self) -> None:
        self.looks += 1
        if self.hangs:
            await anyio.sleep_forever()
        if self.error:
            raise self.error


def test_a_look_counts_for_a_while() -> None:
    looked = Looked()

    async def check_three_times() -> None:
        probe = Probe(looked.look, seconds=lambda: looked.seconds)
        assert (await probe.check()).age_seconds == 0
        looked.seconds += CACHED_SECONDS - 0.5
        assert (await probe.check()).age_seconds == CACHED_SECONDS - 0.5
        assert looked.looks == 1
        looked.seconds += 0.5
        assert (await probe.check()).status == "healthy"
        assert looked.looks == 2

    anyio.run(check_three_times)


def test_a_look_that_failed_is_soon_repeated() -> None:
    looked = Looked()
    looked.error = TransientError(ErrorCode.UNAVAILABLE, "Look after Dagster.")

    async def check_twice() -> None:
        probe = Probe(looked.look, seconds=lambda: looked.seconds)
        await probe.check()
        looked.seconds += CACHED_FAILURE_SECONDS
        looked.error = None
        assert (await probe.check()).status == "healthy"

    anyio.run(check_twice)


def test_a_look_that_fails_is_unhealthy_and_says_why() -> None:
    looked = Looked()
    looked.error = TransientError(ErrorCode.UNAVAILABLE, "Look after Dagster.")

    check = anyio.run(Probe(looked.look).check)

    assert check.status == "unhealthy"
    assert check.reason == "Look after Dagster."


def test_a_look_that_takes_too_long_is_unknown() -> None:
    looked = Looked()
    looked.hangs = True

    check = anyio.run(Probe(looked.look, patience=0.01).check)

    assert check.status == "unknown"
    assert check.reason == "There was no answer within 0.01 s."
