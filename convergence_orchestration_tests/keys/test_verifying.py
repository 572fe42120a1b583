import sys
from collections import Counter
from types import FrameType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convergence_orchestration.keys.index import KeyIndex
from convergence_orchestration.keys.token import LONGEST, generate_tenant_key, hash_of
from convergence_orchestration.keys.verifying import FORGOTTEN_AFTER, REMEMBERED, Refused, Verifier
from convergence_orchestration.settings import Environment
from convergence_orchestration_tests.keys.builders import DEVELOPMENT, T0, record, seconds


def fresh(environment: Environment = DEVELOPMENT) -> str:
    return generate_tenant_key(environment).get_secret_value()


GOOD, REVOKED, EXPIRED, FOREIGN = fresh(), fresh(), fresh(), fresh(Environment.STAGING)
UNKNOWN = fresh()
MISTYPED = UNKNOWN[:-1] + ("0" if UNKNOWN[-1] != "0" else "1")


class Verifying:
    """A verifier whose early looks are counted and whose clock stands where the test puts it."""

    def __init__(self) -> None:
        self.now, self.looks = 0.0, 0
        index = KeyIndex()
        index.swap([record(GOOD), record(REVOKED, revoked=1), record(EXPIRED, expires=1)], T0)
        self.verifier = Verifier(index, DEVELOPMENT, self.look, lambda: self.now)

    def look(self) -> None:
        self.looks += 1

    def lets_in(self, key: str, at: float = 5) -> bool:
        return self.verifier.verify(key, seconds(at)) is not None


def test_only_the_good_key_is_let_in() -> None:
    verifying = Verifying()
    texts = [GOOD, REVOKED, EXPIRED, FOREIGN, UNKNOWN, MISTYPED, ""]
    assert [verifying.lets_in(text) for text in texts] == [True, *[False] * 6]


def test_a_stranger_of_the_right_form_hastens_a_look_once_a_minute() -> None:
    verifying = Verifying()
    for verifying.now in (0, 1, FORGOTTEN_AFTER - 1):
        verifying.lets_in(UNKNOWN)
    assert verifying.looks == 1
    verifying.now = FORGOTTEN_AFTER
    verifying.lets_in(UNKNOWN)
    assert verifying.looks == 2


@pytest.mark.parametrize(
    "text",
    [GOOD, REVOKED, EXPIRED, FOREIGN, MISTYPED, "", "x" * 10_000_000],
    ids=["good", "revoked", "expired", "foreign", "mistyped", "empty", "endless"],
)
def test_no_other_text_hastens_a_look(text: str) -> None:
    verifying = Verifying()
    verifying.lets_in(text)
    assert verifying.looks == 0


def test_no_more_keys_are_remembered_than_allowed_and_the_oldest_is_forgotten_first() -> None:
    refused = Refused()
    assert all(refused.is_news(str(number), now=number / 1e6) for number in range(REMEMBERED + 1))
    assert len(refused) == REMEMBERED
    assert not refused.is_news("1", now=1)
    assert refused.is_news("0", now=1)


@given(st.lists(st.tuples(st.integers(0, 6), st.floats(0, 100)), max_size=50))
def test_the_memory_of_refused_keys_is_bounded_and_lets_each_be_news_once_a_minute(
    asked: list[tuple[int, float]],
) -> None:
    refused, now, news = Refused(limit=3), 0.0, dict[int, float]()
    for key, pause in asked:
        now += pause
        if refused.is_news(str(key), now):
            news[key] = now
        else:
            assert now - news[key] < FORGOTTEN_AFTER
        assert len(refused) <= 3


def steps_of(text: str) -> Counter[str]:
    """What is called, and how often, while `text` is judged; a good look-up is done first, so that nothing is new."""
    verifying = Verifying()
    verifying.lets_in(GOOD)
    steps: Counter[str] = Counter()

    def note(frame: FrameType, event: str, argument: Any) -> None:
        if event == "call":
            steps[frame.f_code.co_qualname] += 1
        elif event == "c_call":
            steps[argument.__qualname__] += 1

    sys.setprofile(note)
    try:
        verifying.lets_in(text)
    finally:
        sys.setprofile(None)
    return steps - Counter({"Verifying.look": 1, "setprofile": 1})


@pytest.mark.parametrize(
    "text",
    [REVOKED, EXPIRED, FOREIGN, MISTYPED, "", "x", "\udcff" * 100, GOOD + "x", GOOD * 100_000],
    ids=["revoked", "expired", "foreign", "mistyped", "empty", "short", "surrogates", "longer", "endless"],
)
def test_every_refused_text_takes_the_steps_of_an_unknown_key(text: str) -> None:
    assert steps_of(text) == steps_of(UNKNOWN)
    assert steps_of(text)["openssl_sha256"] == 1


def test_of_a_text_longer_than_a_key_only_the_beginning_is_looked_at() -> None:
    index = KeyIndex()
    verdicts = [index.judge("x" * length, DEVELOPMENT, T0) for length in (LONGEST, LONGEST + 1, 10_000_000)]
    assert {verdict.key_hash for verdict in verdicts} == {hash_of("x" * LONGEST)}
