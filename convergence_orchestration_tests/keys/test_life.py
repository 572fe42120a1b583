from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convergence_orchestration.errors import PermanentError
from convergence_orchestration.keys.ledger import records_of
from convergence_orchestration.keys.life import (
    is_revocable,
    may_be_redelivered,
    refuse_delivery,
    refuse_rotation,
)
from convergence_orchestration.keys.model import (
    KeyEvent,
    KeyEventKind,
    KeyRecord,
    record_of,
)
from convergence_orchestration.keys.states import KEY_TRANSITIONS, KeyState
from convergence_orchestration_tests.keys.builders import T0, happened, issued, key_id, record, seconds

NOW = seconds(10)
IN_STATE = {
    KeyState.ACTIVE: record(),
    KeyState.ROTATING: replace(record(overlap_ends=20), successor_key_id=key_id(2)),
    KeyState.EXPIRED: record(expires=10),
    KeyState.REVOKED: record(revoked=1),
}


@pytest.mark.parametrize("state", KeyState)
def test_each_command_is_judged_by_the_table(state: KeyState) -> None:
    one = IN_STATE[state]
    assert one.state(NOW) is state
    assert is_revocable(one, NOW) is (KeyState.REVOKED in KEY_TRANSITIONS[state])
    if KeyState.ROTATING in KEY_TRANSITIONS[state]:
        refuse_rotation(one, NOW)
    else:
        with pytest.raises(PermanentError, match=f"is {state} and cannot be rotated"):
            refuse_rotation(one, NOW)


def test_a_key_that_is_over_is_not_handed_over() -> None:
    for state in (KeyState.EXPIRED, KeyState.REVOKED):
        with pytest.raises(PermanentError, match=state):
            refuse_delivery(IN_STATE[state], NOW)
    refuse_delivery(IN_STATE[KeyState.ROTATING], NOW)


def test_a_key_is_handed_over_again_for_ten_minutes() -> None:
    delivered = replace(record(), delivered_at=T0)
    assert may_be_redelivered(record(), seconds(10_000))
    assert may_be_redelivered(delivered, seconds(599.9))
    assert not may_be_redelivered(delivered, seconds(600))


@pytest.mark.parametrize(
    ("one", "ends"),
    [
        (record(), None),
        (record(expires=9, overlap_ends=8), 8),
        (record(expires=7, overlap_ends=8), 7),
        (record(revoked=5, expires=7), 5),
    ],
)
def test_a_key_ends_at_the_first_of_its_ends(one: KeyRecord, ends: float | None) -> None:
    assert one.ends_at == (None if ends is None else seconds(ends))


EVENTS = st.lists(
    st.one_of(
        st.builds(issued, number=st.integers(1, 3), at=st.integers(0, 9), expires=st.none() | st.just(50)),
        st.builds(
            happened,
            st.sampled_from([KeyEventKind.DELIVERED, KeyEventKind.REVOKED, KeyEventKind.ROTATED]),
            number=st.integers(1, 3),
            at=st.integers(0, 9),
            overlap_ends=st.just(20),
        ),
    ),
    max_size=8,
)


@given(EVENTS, st.randoms(use_true_random=False))
def test_events_add_up_to_the_same_records_in_any_order_and_however_often_they_come(
    events: list[KeyEvent], random: st.DataObject
) -> None:
    shuffled = [*events, *events[::2]]
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    first, again = ({each.key_id: each for each in records_of(of)} for of in (events, shuffled))
    for which, one in first.items():
        assert _facts(one) == _facts(again[which])


@given(EVENTS)
def test_a_revoked_key_is_revoked_whatever_else_is_known_of_it(events: list[KeyEvent]) -> None:
    mine = [event for event in events if event.key_id == key_id()]
    found = record_of([*mine, issued(), happened(KeyEventKind.REVOKED, at=3)])
    assert found is not None
    assert found.state(seconds(100)) is KeyState.REVOKED
    assert not is_revocable(found, seconds(100))


def _facts(one: KeyRecord) -> tuple[object, ...]:
    """What the earliest event of each kind decides; two issues at the same instant differ by nothing else."""
    return (
        one.issued_at,
        one.revoked_at,
        one.delivered_at,
        one.rotated_at,
        one.overlap_ends_at,
        one.key_hash,
    )
