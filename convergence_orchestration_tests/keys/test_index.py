import sys
from math import inf
from threading import Event, Thread

from hypothesis import given
from hypothesis import strategies as st

from convergence_orchestration.keys.index import KeyIndex
from convergence_orchestration.keys.token import generate_tenant_key
from convergence_orchestration.settings import Environment
from convergence_orchestration_tests.keys.builders import DEVELOPMENT, T0, record, seconds

KEY = generate_tenant_key(DEVELOPMENT).get_secret_value()
STRANGER = generate_tenant_key(DEVELOPMENT).get_secret_value()
STAGING_KEY = generate_tenant_key(Environment.STAGING).get_secret_value()


def index_of(*records_of_keys: str) -> KeyIndex:
    index = KeyIndex()
    index.swap([record(text) for text in records_of_keys], T0)
    return index


def test_a_known_key_gives_its_record_and_a_stranger_none() -> None:
    index = index_of(KEY)
    assert index.verify(KEY, DEVELOPMENT, T0) == record(KEY)
    assert index.verify(STRANGER, DEVELOPMENT, T0) is None
    assert len(index) == 1


def test_a_key_of_another_environment_is_refused_though_the_index_knows_it() -> None:
    index = KeyIndex()
    index.swap([record(STAGING_KEY, Environment.STAGING), record(KEY, Environment.STAGING)], T0)
    assert index.verify(STAGING_KEY, DEVELOPMENT, T0) is None
    assert index.verify(KEY, DEVELOPMENT, T0) is None
    assert index.verify(STAGING_KEY, Environment.STAGING, T0) is not None


def test_expiry_overlap_and_revocation_are_judged_when_asked() -> None:
    index = KeyIndex()
    for ends in (record(KEY, expires=10), record(KEY, overlap_ends=10)):
        index.swap([ends], T0)
        assert index.verify(KEY, DEVELOPMENT, seconds(9)) is not None
        assert index.verify(KEY, DEVELOPMENT, seconds(10)) is None
    index.swap([record(KEY, revoked=1)], T0)
    assert index.verify(KEY, DEVELOPMENT, T0) is None


@given(st.text() | st.binary().map(lambda raw: raw.decode("latin-1")))
def test_any_other_text_is_refused_and_never_raises(text: str) -> None:
    assert index_of(KEY, text).verify(text, DEVELOPMENT, T0) is None


@given(st.lists(st.booleans(), max_size=8))
def test_after_a_swap_exactly_the_accepted_keys_of_the_new_records_are_let_in(revoked: list[bool]) -> None:
    keys = [generate_tenant_key(DEVELOPMENT).get_secret_value() for _ in revoked]
    index = index_of(KEY)
    index.swap(
        [record(key, revoked=1 if gone else None) for key, gone in zip(keys, revoked, strict=True)], T0
    )
    assert [index.verify(key, DEVELOPMENT, T0) is None for key in keys] == revoked
    assert index.verify(KEY, DEVELOPMENT, T0) is None


def test_the_age_is_that_of_the_last_look_and_infinite_before_the_first() -> None:
    index = KeyIndex()
    assert index.age(T0) == inf
    index.swap([record(KEY)], T0)
    assert index.age(seconds(7.5)) == 7.5
    index.confirm(seconds(5))
    assert index.age(seconds(7.5)) == 2.5
    assert index.verify(KEY, DEVELOPMENT, T0) is not None


def test_a_clock_that_was_set_back_makes_no_negative_age() -> None:
    assert index_of(KEY).age(seconds(-5)) == 0


def test_a_reader_sees_one_state_or_the_next_while_the_index_is_swapped() -> None:
    states = [[record(KEY), record(STRANGER)], [record(STRANGER), record(KEY)]]
    index, stopping = index_of(KEY, STRANGER), Event()

    def swap_on_and_on() -> None:
        while not stopping.is_set():
            for records in states:
                index.swap(records, T0)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    writer = Thread(target=swap_on_and_on)
    writer.start()
    try:
        assert all(index.verify(KEY, DEVELOPMENT, T0) is not None and len(index) == 2 for _ in range(3000))
    finally:
        stopping.set()
        writer.join()
        sys.setswitchinterval(interval)
