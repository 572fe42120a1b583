from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from math import inf
from threading import Event
from time import monotonic

import pytest

from convergence_orchestration.errors import ErrorCode, TransientError
from convergence_orchestration.following import EARLY_SECONDS
from convergence_orchestration.keys.follower import LedgerFollower
from convergence_orchestration.keys.index import KeyIndex
from convergence_orchestration.keys.model import KeyEvent, KeyEventKind
from convergence_orchestration.keys.token import generate_tenant_key
from convergence_orchestration_tests.keys.builders import DEVELOPMENT, happened, issued, seconds

KEY = generate_tenant_key(DEVELOPMENT).get_secret_value()
OTHER = generate_tenant_key(DEVELOPMENT).get_secret_value()


class Ledger:
    """A ledger of which the test says what is visible; counts what it was asked."""

    def __init__(self, *events: KeyEvent) -> None:
        self.visible = list(events)
        self.asked: list[datetime | None] = []
        self.fails_with: Exception | None = None
        self.on_ask: Callable[[], object] = lambda: None

    def all(self) -> Sequence[KeyEvent]:
        return self._answer(None)

    def events_since(self, since: datetime) -> Sequence[KeyEvent]:
        return self._answer(since)

    def _answer(self, since: datetime | None) -> list[KeyEvent]:
        self.asked.append(since)
        self.on_ask()
        if self.fails_with is not None:
            raise self.fails_with
        return [event for event in self.visible if since is None or event.recorded_at >= since]


class Following:
    """A follower with its ledger, its index and a clock that stands where the test puts it."""

    def __init__(self, *events: KeyEvent) -> None:
        self.now = 100.0
        self.ledger, self.index = Ledger(*events), KeyIndex()
        self.follower = LedgerFollower(
            self.ledger,
            self.index,
            interval=0.001,
            clock=lambda: seconds(self.now),
            overlap=timedelta(seconds=10),
            rebuild_every=timedelta(seconds=60),
            aside=lambda call: call(),
        )

    def look(self, at: float) -> None:
        self.now = at
        self.follower.refresh()

    def lets_in(self, key: str) -> bool:
        return self.index.verify(key, DEVELOPMENT, seconds(self.now)) is not None


def test_the_first_look_reads_all_and_the_next_ones_an_overlapping_window() -> None:
    following = Following(issued(1, at=0, text=KEY))
    following.look(100)
    following.look(102)
    following.look(104)
    assert following.ledger.asked == [None, seconds(90), seconds(92)]
    assert following.lets_in(KEY)


def test_a_look_that_finds_nothing_new_makes_the_index_young_again() -> None:
    following = Following(issued(1, text=KEY))
    following.look(100)
    following.look(130)
    assert following.index.age(seconds(131)) == 1
    assert following.lets_in(KEY)


def test_a_revocation_and_a_new_key_are_seen_at_the_next_look() -> None:
    following = Following(issued(1, text=KEY))
    following.look(100)
    following.ledger.visible += [happened(KeyEventKind.REVOKED, 1, at=101), issued(2, at=101, text=OTHER)]
    following.look(102)
    assert not following.lets_in(KEY)
    assert following.lets_in(OTHER)


def test_an_event_that_becomes_visible_late_is_seen_within_the_overlap() -> None:
    following = Following(issued(1, text=KEY))
    following.look(100)
    following.look(102)
    following.ledger.visible.append(happened(KeyEventKind.REVOKED, 1, at=95))
    following.look(104)
    assert not following.lets_in(KEY)


def test_an_event_later_than_the_overlap_forgives_is_seen_when_all_is_read_anew() -> None:
    following = Following(issued(1, text=KEY))
    following.look(100)
    following.ledger.visible.append(happened(KeyEventKind.REVOKED, 1, at=50))
    following.look(102)
    assert following.lets_in(KEY)
    following.look(160)
    assert following.ledger.asked[-1] is None
    assert not following.lets_in(KEY)


def test_a_revocation_read_before_its_issue_counts_once_the_issue_is_read() -> None:
    following = Following(happened(KeyEventKind.REVOKED, 1, at=99))
    following.look(100)
    following.ledger.visible.append(issued(1, at=98, text=KEY))
    following.look(102)
    assert not following.lets_in(KEY)


def test_an_event_of_this_process_counts_at_once_and_survives_a_look_that_does_not_show_it_yet() -> None:
    following = Following(issued(1, text=KEY))
    following.look(100)
    following.follower.note(happened(KeyEventKind.REVOKED, 1, at=100))
    assert not following.lets_in(KEY)
    following.look(102)
    assert not following.lets_in(KEY)


def test_a_noted_event_survives_a_rebuild_that_does_not_show_it_yet_but_an_old_one_is_forgotten() -> None:
    following = Following(issued(1, text=KEY))
    following.look(100)
    following.now = 158
    following.follower.note(issued(2, at=158, text=OTHER))
    following.look(160)
    assert following.lets_in(OTHER)
    following.look(221)
    assert not following.lets_in(OTHER)
    assert following.lets_in(KEY)


def test_an_event_noted_before_the_first_look_waits_for_it() -> None:
    following = Following(issued(1, text=KEY))
    following.follower.note(happened(KeyEventKind.REVOKED, 1, at=99))
    assert following.index.age(seconds(100)) == inf
    following.look(100)
    assert not following.lets_in(KEY)


def test_noting_what_is_known_changes_nothing() -> None:
    following = Following(issued(1, text=KEY))
    following.look(100)
    following.follower.note(issued(1, text=KEY))
    assert following.lets_in(KEY)
    assert len(following.index) == 1


def test_a_failed_look_leaves_the_index_as_it_was_and_its_age_grows() -> None:
    following = Following(issued(1, text=KEY))
    following.look(100)
    following.ledger.fails_with = TransientError(ErrorCode.UNAVAILABLE, "Try again.")
    with pytest.raises(TransientError):
        following.look(105)
    assert following.lets_in(KEY)
    assert following.index.age(seconds(105)) == 5
    following.ledger.fails_with = None
    following.look(110)
    assert following.ledger.asked[-1] == seconds(90)
    assert following.index.age(seconds(110)) == 0


@pytest.mark.parametrize(
    "failure", [TransientError(ErrorCode.UNAVAILABLE, "Try again."), RuntimeError("a defect")]
)
def test_the_thread_outlives_failures_and_is_well_again_afterwards(failure: Exception) -> None:
    following, looks, enough = Following(issued(1, text=KEY)), 0, Event()

    def count() -> None:
        nonlocal looks
        looks += 1
        following.ledger.fails_with = failure if looks < 3 else None
        if looks == 5:
            enough.set()

    following.ledger.on_ask = count
    following.follower.start()
    assert enough.wait(20)
    following.follower.stop()
    assert following.lets_in(KEY)


def test_stopping_ends_the_thread_and_may_be_done_twice_or_before_the_start() -> None:
    following, looked = Following(), Event()
    following.follower.stop()
    following = Following()
    following.ledger.on_ask = looked.set
    following.follower.start()
    assert looked.wait(20)
    following.follower.stop()
    asked = len(following.ledger.asked)
    following.follower.stop()
    assert len(following.ledger.asked) == asked


def test_a_wake_brings_the_next_look_forward_and_many_wakes_bring_few() -> None:
    following, looked = Following(), Event()
    follower = LedgerFollower(following.ledger, following.index, interval=3600, clock=lambda: seconds(0))
    following.ledger.on_ask = looked.set
    follower.start()
    assert looked.wait(20)
    looked.clear()

    began = monotonic()
    follower.wake()
    assert looked.wait(20)
    while monotonic() - began < 4 * EARLY_SECONDS:
        follower.wake()
    follower.stop()

    assert 3 <= len(following.ledger.asked) <= 2 + (monotonic() - began) / EARLY_SECONDS


def test_looks_go_on_while_everything_is_read_anew_and_what_they_saw_is_kept() -> None:
    following, waiting = Following(issued(1, text=KEY)), list[Callable[[], None]]()
    follower = LedgerFollower(
        following.ledger,
        following.index,
        interval=1,
        clock=lambda: seconds(following.now),
        overlap=timedelta(seconds=10),
        rebuild_every=timedelta(seconds=60),
        aside=waiting.append,
    )
    follower.refresh()
    following.now = 160
    follower.refresh()
    following.now = 162
    revoked = happened(KeyEventKind.REVOKED, 1, at=161)
    following.ledger.visible.append(revoked)
    follower.refresh()
    assert not following.lets_in(KEY)
    assert len(waiting) == 1

    following.ledger.visible.remove(revoked)  # what was read before it happened does not show it
    waiting.pop()()

    assert not following.lets_in(KEY)
    assert following.index.age(seconds(162)) == 0
    follower.refresh()
    assert not waiting


@pytest.mark.parametrize(
    "failure", [TransientError(ErrorCode.UNAVAILABLE, "Try again."), RuntimeError("a defect")]
)
def test_reading_anew_that_fails_is_tried_again_at_the_next_look(failure: Exception) -> None:
    following = Following(issued(1, text=KEY))
    following.look(100)
    following.ledger.on_ask = lambda: setattr(
        following.ledger, "fails_with", failure if following.ledger.asked[-1] is None else None
    )
    following.look(161)
    assert following.lets_in(KEY)
    following.ledger.on_ask = lambda: setattr(following.ledger, "fails_with", None)
    following.look(162)
    assert following.ledger.asked == [None, seconds(90), None, seconds(151), None]


def test_reading_anew_happens_in_a_thread_of_its_own() -> None:
    following, read = Following(), Event()
    follower = LedgerFollower(
        following.ledger,
        following.index,
        interval=3600,
        clock=lambda: seconds(following.now),
        rebuild_every=timedelta(seconds=0),
    )
    follower.refresh()
    following.ledger.on_ask = lambda: read.set() if following.ledger.asked[-1] is None else None
    follower.refresh()
    assert read.wait(20)
