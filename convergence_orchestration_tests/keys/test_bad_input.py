"""Whatever is given as a key's id, hash, scope, end or time of grace: a defined answer that does not repeat it."""

from contextlib import suppress
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convergence_orchestration.api.key_cursors import cursor_at, parse_cursor
from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.keys.listing import Behind
from convergence_orchestration.keys.model import (
    MAX_KEY_DESCRIPTION_LENGTH,
    Scope,
    checked_description,
    key_id_of_request,
    key_id_of_run,
    parse_expiry,
    parse_grace,
    parse_key_id,
    parse_scopes,
)
from convergence_orchestration.keys.revoking import find
from convergence_orchestration.keys.token import generate_tenant_key
from convergence_orchestration_tests.keys.builders import DEVELOPMENT, T0, record, seconds

ANY_BYTES = st.binary().map(lambda content: content.decode("latin-1")) | st.text()
KEYS = st.builds(lambda: generate_tenant_key(DEVELOPMENT).get_secret_value())


def refused(error: PermanentError, given: str) -> None:
    assert error.code is ErrorCode.INVALID_ARGUMENT
    assert len(given) < 9 or given not in f"{error.message} {error.details}"


@given(ANY_BYTES | KEYS)
def test_any_text_as_a_key_id_is_refused_without_a_look_and_not_repeated(text: str) -> None:
    with pytest.raises(PermanentError) as raised:
        parse_key_id(text)
    refused(raised.value, text)
    with pytest.raises(PermanentError) as raised:
        find(None, text)  # type: ignore[arg-type] # it must not be asked
    refused(raised.value, text)


@given(st.text(), st.text(), st.text())
def test_what_is_derived_is_a_key_id_and_the_same_for_the_same_request_alone(
    actor: str, first: str, second: str
) -> None:
    assert parse_key_id(key_id_of_request("issue", "somebody", first))
    assert parse_key_id(key_id_of_run(actor))
    same = key_id_of_request("issue", "somebody", first) == key_id_of_request("issue", "somebody", second)
    assert same == (first == second)
    assert key_id_of_request("issue", "somebody", first) != key_id_of_request("rotate", "somebody", first)


@given(st.lists(ANY_BYTES))
def test_scopes_are_known_ones_or_refused(values: list[str]) -> None:
    with suppress(PermanentError):
        assert set(parse_scopes(values)) <= set(Scope)


@given(ANY_BYTES | st.datetimes().map(str) | st.datetimes().map(lambda time: f"{time.isoformat()}Z"))
def test_an_end_is_to_come_or_refused(text: str) -> None:
    with suppress(PermanentError):
        end = parse_expiry(text, T0)
        assert end is None or end > T0


@given(st.integers(), st.integers(0, 10_000_000))
def test_a_time_of_grace_is_within_its_limit_or_refused(given_seconds: int, longest: int) -> None:
    if 0 <= given_seconds <= longest:
        assert parse_grace(given_seconds, longest) == timedelta(seconds=given_seconds)
        return
    with pytest.raises(PermanentError, match=f"from 0 to {longest}"):
        parse_grace(given_seconds, longest)


def test_a_description_is_bounded_and_has_no_control_characters() -> None:
    assert checked_description("a\nb") == "a\nb"
    for text in ("a" * (MAX_KEY_DESCRIPTION_LENGTH + 1), "a\x00b"):
        with pytest.raises(PermanentError):
            checked_description(text)


@given(ANY_BYTES)
def test_a_cursor_is_ours_or_refused(text: str) -> None:
    with pytest.raises(PermanentError, match="next_before"):
        parse_cursor(text)


def test_a_cursor_reads_back() -> None:
    one = record(expires=1)
    assert parse_cursor(cursor_at(one)) == Behind(seconds(0), one.key_id)
