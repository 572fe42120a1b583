import json
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from hashlib import sha256

from hypothesis import given
from hypothesis import strategies as st

from convergence_orchestration.audit.chain import canonical, chained, columns_of, head_at, row_hash
from convergence_orchestration.audit.model import Actor, ActorKind, Outcome
from convergence_orchestration.errors import ErrorCode
from convergence_orchestration.settings import Environment
from convergence_orchestration_tests.audit.builders import T0, chain, entry


def test_the_hash_can_be_computed_from_the_documented_text_alone() -> None:
    row = chained(
        entry(
            "key.reveal",
            tenant_id=None,
            target=None,
            error_code=ErrorCode.FORBIDDEN,
            status_code=403,
            path='/a"b/ü',
        ),
        "api:host:1:aa",
        None,
        Environment.DEVELOPMENT,
        T0,
    )
    text = (
        '{"action":"key.reveal","actor":"alice","actor_kind":"ADMIN_KEY","environment":"development",'
        '"error_code":"forbidden","event_id":"api:host:1:aa.1","outcome":"SUCCEEDED","path":"/a\\"b/ü",'
        '"recorded_at":"2026-11-20T12:00:00.000000Z","sequence":1,"status_code":403,"writer_id":"api:host:1:aa"}'
    )

    assert canonical(row) == text
    assert row.row_hash == row_hash(row) == sha256(text.encode()).hexdigest()


def test_a_row_names_the_hash_of_the_row_before_it() -> None:
    first, second, third = chain("w", "a", "b")

    assert first.previous_hash is None
    assert [second.previous_hash, third.previous_hash] == [first.row_hash, second.row_hash]
    assert [row.event_id for row in (first, second, third)] == ["w.1", "w.2", "w.3"]


def test_the_same_instant_in_another_zone_has_the_same_hash() -> None:
    row = chain("w")[0]
    elsewhere = row.recorded_at.astimezone(timezone(timedelta(hours=5)))

    assert row_hash(replace(row, recorded_at=elsewhere)) == row.row_hash


@given(st.text(), st.text(), st.dictionaries(st.text(), st.text()))
def test_whatever_a_caller_sends_is_read_back_as_it_was_hashed(
    path: str, request_id: str, details: dict[str, str]
) -> None:
    asked = entry(path=path, request_id=request_id, details=details)
    row = chained(asked, "w", None, Environment.DEVELOPMENT, T0)
    sent = json.loads(json.dumps({**columns_of(row), "recorded_at": row.recorded_at.isoformat()}).encode())
    read = replace(row, **{**sent, "recorded_at": datetime.fromisoformat(sent["recorded_at"])})

    assert row_hash(read) == row.row_hash
    assert all(text.isprintable() and len(text) <= 500 for text in (row.path or "", row.request_id or ""))


def test_details_that_are_too_long_are_left_out_and_that_is_told() -> None:
    row = chained(entry(details={"x": "y" * 300_000}), "w", None, Environment.DEVELOPMENT, T0)

    assert row.details == '{"left_out_characters": 300008}'


def test_an_entry_keeps_its_own_time() -> None:
    earlier = T0 - timedelta(seconds=3)

    row = chained(
        entry(recorded_at=earlier, actor=Actor(ActorKind.SYSTEM, ""), outcome=Outcome.ATTEMPTED),
        "w",
        head_at(chain("w")[0]),
        Environment.DEVELOPMENT,
        T0,
    )

    assert (row.recorded_at, row.sequence, row.actor) == (earlier, 2, None)
