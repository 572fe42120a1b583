"""The rule that must not break, under any order of what a follower and a caller may do."""

from datetime import timedelta

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from convergence_orchestration.keys.follower import LedgerFollower
from convergence_orchestration.keys.index import KeyIndex
from convergence_orchestration.keys.model import KeyEvent, KeyEventKind
from convergence_orchestration.keys.token import generate_tenant_key
from convergence_orchestration_tests.keys.builders import DEVELOPMENT, happened, issued, seconds

KEYS = [generate_tenant_key(DEVELOPMENT).get_secret_value() for _ in range(4)]
numbers = st.integers(0, len(KEYS) - 1)


class Ledger:
    """A ledger whose events become visible when a rule says so, in any order, some of them twice."""

    def __init__(self) -> None:
        self.visible: list[KeyEvent] = []

    def all(self) -> list[KeyEvent]:
        return self.visible

    def events_since(self, since: object) -> list[KeyEvent]:
        return [event for event in self.visible if event.recorded_at >= since]  # type: ignore[operator]


class Life(RuleBasedStateMachine):
    """Keys are issued and revoked elsewhere or here; the follower looks now and then, and reads all anew at times."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0
        self.ledger, self.index = Ledger(), KeyIndex()
        self.follower = LedgerFollower(
            self.ledger,
            self.index,
            interval=1,
            clock=lambda: seconds(self.now),
            overlap=timedelta(seconds=60),
            rebuild_every=timedelta(seconds=100),
            aside=lambda call: call(),
        )
        self.happened: dict[tuple[int, KeyEventKind], KeyEvent] = {}
        self.shown: set[int] = set()

    def event(self, number: int, kind: KeyEventKind) -> KeyEvent:
        made = (
            issued(number, at=self.now, text=KEYS[number])
            if kind is KeyEventKind.ISSUED
            else happened(kind, number, at=self.now)
        )
        return self.happened.setdefault((number, kind), made)

    @rule(number=numbers, kind=st.sampled_from([KeyEventKind.ISSUED, KeyEventKind.REVOKED]))
    def happens_elsewhere(self, number: int, kind: KeyEventKind) -> None:
        self.ledger.visible.append(self.event(number, kind))

    @rule(number=numbers, kind=st.sampled_from([KeyEventKind.ISSUED, KeyEventKind.REVOKED]))
    def happens_here(self, number: int, kind: KeyEventKind) -> None:
        event = self.event(number, kind)
        self.ledger.visible.append(event)
        self.follower.note(event)
        if kind is KeyEventKind.REVOKED:
            self.shown.add(number)

    @rule()
    def look(self) -> None:
        since = seconds(self.now - 60)
        self.follower.refresh()
        self.shown |= {
            number
            for (number, kind), event in self.happened.items()
            if kind is KeyEventKind.REVOKED and event in self.ledger.visible and event.recorded_at >= since
        }

    @rule(pause=st.floats(0.1, 20))
    def time_goes_by(self, pause: float) -> None:
        self.now += pause

    @precondition(lambda self: self.shown)
    @invariant()
    def a_revoked_key_is_never_let_in_after_the_look_that_showed_it(self) -> None:
        for number in self.shown:
            assert self.index.verify(KEYS[number], DEVELOPMENT, seconds(self.now)) is None

    @invariant()
    def a_key_that_nobody_revoked_is_known_once_it_was_read(self) -> None:
        for number in range(len(KEYS)):
            record = self.index.verify(KEYS[number], DEVELOPMENT, seconds(self.now))
            assert record is None or (number, KeyEventKind.ISSUED) in self.happened


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=60, stateful_step_count=40)
