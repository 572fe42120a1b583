import re
from datetime import UTC, datetime
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.keys.model import (
    ALL_SCOPES,
    KEY_ID_PATTERN,
    KeyEventKind,
    Scope,
    key_id_of_run,
    new_key_id,
    parse_expiry,
    parse_key_id,
    parse_scopes,
    record_of,
)
from convergence_orchestration.keys.states import KEY_TRANSITIONS, KeyState
from convergence_orchestration_tests.keys.builders import T0, happened, issued, key_id, record, seconds


def test_key_ids_are_random_and_of_the_documented_form() -> None:
    ids = {new_key_id() for _ in range(100)}
    assert len(ids) == 100
    assert all(re.fullmatch(KEY_ID_PATTERN, each) for each in ids)


def test_a_run_stands_for_the_same_key_each_time_and_another_run_for_another() -> None:
    assert key_id_of_run("run-1") == key_id_of_run("run-1") != key_id_of_run("run-2")
    assert parse_key_id(key_id_of_run("run-1")) == key_id_of_run("run-1")


@pytest.mark.parametrize("value", ["", "key_", "key_" + "a" * 19, "cvg_dev_secret", "key_" + "a" * 20 + "\n"])
def test_a_key_id_of_another_form_is_refused_without_being_repeated(value: str) -> None:
    with pytest.raises(PermanentError) as raised:
        parse_key_id(value)
    assert raised.value.code is ErrorCode.INVALID_ARGUMENT
    assert "secret" not in f"{raised.value} {raised.value.details}"


def test_scopes_are_listed_once_in_their_order_and_none_means_all() -> None:
    assert parse_scopes(["usage:read", "pipelines:read", "usage:read"]) == (
        Scope.PIPELINES_READ,
        Scope.USAGE_READ,
    )
    assert parse_scopes([]) == ALL_SCOPES


def test_an_unknown_scope_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(PermanentError, match="pipelines:read") as raised:
        parse_scopes(["pipelines:read", "everything"])
    assert raised.value.code is ErrorCode.INVALID_ARGUMENT


def test_an_expiry_is_read_in_utc_and_none_is_none() -> None:
    assert parse_expiry("2030-01-31T01:00:00+01:00", T0) == datetime(2030, 1, 31, tzinfo=UTC)
    assert parse_expiry("2030-01-31T00:00:00Z", T0) == datetime(2030, 1, 31, tzinfo=UTC)
    assert parse_expiry("", T0) is None


@pytest.mark.parametrize(
    "value",
    ["soon", "2030-01-31T00:00:00", "2030-13-01T00:00:00Z", T0.isoformat(), "0001-01-01T00:00:00+14:00"],
)
def test_an_expiry_that_is_past_or_no_instant_is_refused(value: str) -> None:
    with pytest.raises(PermanentError, match="expires_at") as raised:
        parse_expiry(value, T0)
    assert raised.value.details == {"field": "expires_at"}


def test_a_key_without_an_end_is_active() -> None:
    assert record().state(seconds(10**9)) is KeyState.ACTIVE
    assert record().is_accepted(T0)


@pytest.mark.parametrize(
    ("at", "expected"), [(9.999, KeyState.ACTIVE), (10, KeyState.EXPIRED), (11, KeyState.EXPIRED)]
)
def test_a_key_ends_at_the_instant_of_its_expiry(at: float, expected: KeyState) -> None:
    assert record(expires=10).state(seconds(at)) is expected
    assert record(expires=10).is_accepted(seconds(at)) is (expected is KeyState.ACTIVE)


@pytest.mark.parametrize(("at", "expected"), [(9.999, KeyState.ROTATING), (10, KeyState.EXPIRED)])
def test_a_rotated_key_is_accepted_until_its_overlap_ends(at: float, expected: KeyState) -> None:
    assert record(overlap_ends=10).state(seconds(at)) is expected
    assert record(overlap_ends=10).is_accepted(seconds(at)) is (expected is KeyState.ROTATING)


def test_an_expiry_within_the_overlap_ends_a_key_first() -> None:
    assert record(expires=5, overlap_ends=10).state(seconds(6)) is KeyState.EXPIRED


def test_a_revoked_key_is_revoked_whatever_else_it_is() -> None:
    assert record(revoked=1, expires=5, overlap_ends=10).state(seconds(20)) is KeyState.REVOKED
    assert not record(revoked=1).is_accepted(T0)


def test_every_state_has_its_transitions() -> None:
    assert set(KEY_TRANSITIONS) == set(KeyState)
    assert KEY_TRANSITIONS[KeyState.REVOKED] == frozenset()


def test_a_keys_events_add_up_to_the_same_record_in_whatever_order_they_arrive() -> None:
    events = [
        issued(at=0, expires=100),
        happened(KeyEventKind.DELIVERED, at=1),
        happened(KeyEventKind.ROTATED, at=2, overlap_ends=50),
        happened(KeyEventKind.REVOKED, at=3),
    ]
    records = {record_of(shuffled) for shuffled in permutations(events)}
    assert len(records) == 1
    found = records.pop()
    assert found is not None
    assert (found.issued_at, found.delivered_at, found.revoked_at) == (seconds(0), seconds(1), seconds(3))
    assert (found.expires_at, found.overlap_ends_at) == (seconds(100), seconds(50))
    assert found.key_id == key_id()


def test_what_happened_to_a_key_before_it_is_known_to_be_issued_is_no_record() -> None:
    assert record_of([happened(KeyEventKind.REVOKED)]) is None
    assert record_of([happened(KeyEventKind.ISSUED)]) is None
    assert record_of([]) is None


@given(st.lists(st.sampled_from(KeyEventKind), max_size=6), st.integers(0, 20))
def test_a_revoked_key_is_never_accepted_again(kinds: list[KeyEventKind], at: int) -> None:
    events = [issued(), happened(KeyEventKind.REVOKED, at=1)]
    later = [happened(kind, at=2 + place, overlap_ends=100) for place, kind in enumerate(kinds)]
    found = record_of([*later, *events])
    assert found is not None
    assert not found.is_accepted(seconds(at))


def test_the_same_thing_happening_to_a_key_is_the_same_event() -> None:
    assert happened(KeyEventKind.REVOKED, at=1).event_id == happened(KeyEventKind.REVOKED, at=2).event_id
    assert happened(KeyEventKind.REVOKED).event_id == f"{key_id()}.REVOKED"
