from dataclasses import replace
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.keys.model import KeyId, KeyRecord
from convergence_orchestration.keys.slots import (
    Slot,
    holder,
    holding,
    keys_enough,
    own_slot,
    slot_to_issue,
    slot_to_rotate,
)
from convergence_orchestration.keys.states import KeyState
from convergence_orchestration_tests.keys.builders import ACME, T0, key_id, record, seconds

NOW = seconds(10_000)
OLD, NEW, OTHER = key_id(1), key_id(2), key_id(3)
LEASED, LATE = seconds(9_500), seconds(9_400)  # ten minutes end at NOW for the second


def key(
    which: KeyId,
    revoked: float | None = None,
    expires: float | None = None,
    overlap_ends: float | None = None,
) -> KeyRecord:
    ends = record(which, revoked=revoked, expires=expires, overlap_ends=overlap_ends)
    return replace(ends, key_id=which)


def known(*records: KeyRecord) -> dict[KeyId, KeyRecord]:
    return {each.key_id: each for each in records}


ACTIVE = known(key(OLD))
ENDED = [key(OLD, revoked=1), key(OLD, expires=10_000), key(OLD, overlap_ends=20_000)]


@pytest.mark.parametrize(
    ("slot", "records", "held_by"),
    [
        (Slot(1), {}, None),
        (Slot(1, OLD, claimed_at=LATE), ACTIVE, OLD),
        *((Slot(1, OLD, claimed_at=LEASED), known(ended), None) for ended in ENDED),
        (Slot(1, NEW, claimed_at=LEASED), {}, NEW),
        (Slot(1, NEW, claimed_at=LATE), {}, None),
        (Slot(1, NEW), {}, None),
        (Slot(1, NEW, OLD, LEASED), ACTIVE, NEW),
        (Slot(1, NEW, OLD, LATE), ACTIVE, OLD),
        (Slot(1, NEW, OLD, LATE), known(ENDED[0]), None),
    ],
)
def test_whose_a_place_is(slot: Slot, records: dict[KeyId, KeyRecord], held_by: KeyId | None) -> None:
    assert holder(slot, records, NOW) == held_by


def test_a_free_place_is_taken_the_lowest_first() -> None:
    slots = [Slot(3), Slot(2, NEW, claimed_at=LATE), Slot(1, OLD, claimed_at=LATE)]
    assert slot_to_issue(slots, ACTIVE, OTHER, 3, NOW) == slots[1]


def test_a_key_finds_the_place_that_it_claimed_before() -> None:
    own = Slot(1, NEW, claimed_at=LEASED)
    assert slot_to_issue([own], {}, NEW, 1, NOW) == own
    stale = Slot(1, NEW, claimed_at=LATE)
    assert slot_to_issue([stale], {}, NEW, 1, NOW) == stale


def test_a_key_whose_place_was_lost_meanwhile_does_not_get_it_back_beside_another() -> None:
    slots = [Slot(1, NEW, claimed_at=LATE), Slot(2, OLD, claimed_at=LATE)]
    assert slot_to_issue(slots, ACTIVE, NEW, 1, NOW) is None


def test_keys_issued_before_there_were_places_count() -> None:
    assert slot_to_issue([Slot(1)], ACTIVE, NEW, 1, NOW) is None
    assert slot_to_issue([Slot(1), Slot(2)], ACTIVE, NEW, 2, NOW) == Slot(1)
    assert slot_to_issue([Slot(1)], known(key(OLD, overlap_ends=20_000)), NEW, 1, NOW) == Slot(1)


def test_places_beyond_a_smaller_plan_count_and_are_not_given_again() -> None:
    held = Slot(5, OLD, claimed_at=LATE)
    assert slot_to_issue([Slot(1), held], ACTIVE, NEW, 1, NOW) is None
    assert slot_to_issue([held], {}, NEW, 1, NOW) is None


def test_a_rotation_in_progress_counts_as_one_key() -> None:
    slots = [Slot(1, NEW, OLD, LEASED)]
    assert holding(slots, ACTIVE, NOW) == {NEW}
    assert holding([replace(slots[0], claimed_at=LATE)], ACTIVE, NOW) == {OLD}


def test_a_rotation_takes_the_place_of_the_old_key() -> None:
    place = Slot(1, OLD, claimed_at=LATE)
    assert slot_to_rotate([Slot(2), place], OLD, NEW, NOW) == place


def test_a_rotation_goes_on_in_the_place_that_it_took() -> None:
    place = Slot(1, NEW, OLD, LEASED)
    assert slot_to_rotate([place], OLD, NEW, NOW) == place


def test_the_second_of_two_rotations_is_refused_until_the_first_has_come_to_nothing() -> None:
    place = Slot(1, NEW, OLD, LEASED)
    with pytest.raises(PermanentError) as raised:
        slot_to_rotate([place], OLD, OTHER, NOW)
    assert raised.value.code is ErrorCode.REQUEST_IN_PROGRESS
    late = replace(place, claimed_at=LATE)
    assert slot_to_rotate([late], OLD, OTHER, NOW) == late


def test_a_key_without_a_place_is_rotated_in_one_that_everybody_reckons_alike() -> None:
    assert slot_to_rotate([Slot(1)], OLD, NEW, NOW) == own_slot(OLD)
    assert own_slot(OLD) != own_slot(OTHER)
    assert own_slot(OLD).number > 1000


@pytest.mark.parametrize(
    ("records", "says"),
    [
        (ACTIVE, f"Reveal the tenant's key, POST /api/v1/admin/api-keys/{OLD}/reveal, or revoke it"),
        (known(replace(key(OLD), delivered_at=T0)), f"Revoke {OLD} first"),
        ({}, f"Wait until {OLD} is issued"),
    ],
)
def test_a_refusal_names_the_keys_and_what_to_do(records: dict[KeyId, KeyRecord], says: str) -> None:
    error = keys_enough(ACME, {OLD}, records, 1)
    assert error.message.startswith(says)
    assert (error.details["key_id"], error.details["key_ids"]) == (OLD, [OLD])


IDS = st.sampled_from([key_id(number) for number in range(1, 6)])
TIMES = st.integers(0, 2_000).map(seconds)


@st.composite
def tables(draw: st.DrawFn) -> tuple[list[Slot], dict[KeyId, KeyRecord], datetime]:
    numbers = draw(st.lists(st.integers(1, 4), unique=True))
    slots = [
        Slot(number, draw(st.none() | IDS), draw(st.none() | IDS), draw(st.none() | TIMES))
        for number in numbers
    ]
    ends = st.none() | st.integers(0, 2_000)
    records = known(
        *(
            key(each, revoked=draw(ends), expires=draw(ends), overlap_ends=draw(ends))
            for each in draw(st.sets(IDS))
        )
    )
    return slots, records, draw(TIMES)


@given(tables(), st.integers(1, 4))
def test_whoever_claims_a_place_stays_within_the_plan(
    table: tuple[list[Slot], dict[KeyId, KeyRecord], datetime], allowed: int
) -> None:
    slots, records, now = table
    wanted = key_id(9)
    places = [*slots, *(Slot(number) for number in range(1, 5) if number not in {s.number for s in slots})]
    before = holding(places, records, now)
    chosen = slot_to_issue(places, records, wanted, allowed, now)
    if chosen is None:
        assert len(before) >= allowed or all(
            holder(slot, records, now) is not None for slot in places if slot.number <= allowed
        )
        return
    after = [slot for slot in places if slot != chosen] + [Slot(chosen.number, wanted, claimed_at=now)]
    assert holding(after, records, now) == before | {wanted}
    assert len(before | {wanted}) <= allowed


@given(tables())
def test_no_active_key_ever_loses_its_place(
    table: tuple[list[Slot], dict[KeyId, KeyRecord], datetime],
) -> None:
    slots, records, now = table
    active = {each.key_id for each in records.values() if each.state(now) is KeyState.ACTIVE}
    replaced = {slot.replaces for slot in slots}
    assert active - replaced <= holding(slots, records, now)
