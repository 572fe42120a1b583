from datetime import timedelta
from typing import Any

import pytest

from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.health.alerting.hands import Asked, silence, unsilence
from convergence_orchestration.health.alerting.history import fold
from convergence_orchestration.health.alerting.model import ANY, AlertEvent, Subject
from convergence_orchestration_tests.health.alerting.builders import NOW, SUBJECT, WHERE, book

TOMORROW = NOW + timedelta(days=1)


def asked(**changes: Any) -> AlertEvent:
    fields = {
        "rule": "too_many",
        "subject": "",
        "environment": WHERE,
        "until": TOMORROW.isoformat(),
        "reason": "moving house",
        "actor": "cli:ana",
        "run_id": "run-1",
    }
    return silence(Asked(**{**fields, **changes}), book(), NOW)


def test_a_silence_has_an_end_an_author_and_a_reason() -> None:
    (made,) = fold([asked()], NOW).silences
    assert (made.until, made.actor, made.reason) == (TOMORROW, "cli:ana", "moving house")
    assert made.covered == Subject("too_many", WHERE, ANY)
    assert made.covers(SUBJECT, NOW)
    assert not made.covers(SUBJECT, TOMORROW)


def test_the_same_wish_of_the_same_run_is_one_silence() -> None:
    assert asked().event_id == asked().event_id
    assert asked().alert_id != asked(run_id="run-2").alert_id


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("rule", "nothing"),
        ("environment", "moon"),
        ("reason", " "),
        ("reason", "x" * 501),
        ("until", "tomorrow"),
        ("until", NOW.isoformat()),
        ("until", (NOW + timedelta(days=31)).isoformat()),
    ],
)
def test_what_cannot_be_meant_is_refused_with_its_field(field: str, value: str) -> None:
    with pytest.raises(PermanentError) as caught:
        asked(**{field: value})
    assert caught.value.code is ErrorCode.INVALID_ARGUMENT
    assert caught.value.details == {"field": field}


def test_an_end_without_an_offset_is_utc() -> None:
    assert asked(until="2026-11-23T13:00:00", rule=ANY, environment=ANY).silenced_until == NOW + timedelta(
        hours=1
    )


def test_a_silence_is_ended_by_name_and_once() -> None:
    made = asked()
    over = unsilence(made.alert_id, fold([made], NOW), "cli:bob", "run-2", NOW)
    standing = fold([made, over], NOW)
    assert standing.silences == ()
    with pytest.raises(PermanentError, match="there is none") as caught:
        unsilence(made.alert_id, standing, "cli:bob", "run-3", NOW)
    assert caught.value.code is ErrorCode.NOT_FOUND
