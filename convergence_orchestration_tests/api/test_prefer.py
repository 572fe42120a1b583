import pytest
from hypothesis import given
from hypothesis import strategies as st

from convergence_orchestration.api.prefer import LONGEST_WAIT, wait_seconds


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, 30),
        ("", 30),
        ("wait=10", 10),
        ("wait=0", 0),
        ('wait="10"', 10),
        ("Wait = 10", 10),
        ("respond-async", 0),
        ("respond-async, wait=5", 5),
        ("wait=5; foo=bar", 5),
        ("return=minimal, wait=7", 7),
        ("wait=3, wait=9", 3),
        ("wait=100000", LONGEST_WAIT),
        ("wait=" + "9" * 500, LONGEST_WAIT),
    ],
)
def test_a_preference_sets_how_long_a_call_waits(header: str | None, seconds: float) -> None:
    assert wait_seconds(header, default=30) == seconds


@pytest.mark.parametrize(
    "header", ["wait", "wait=", "wait=soon", "wait=-1", "wait=1.5", "wait=²", "=5", ";;;", ",,,"]
)
def test_a_preference_that_makes_no_sense_is_ignored(header: str) -> None:
    assert wait_seconds(header, default=30) == 30


@given(st.text())
def test_no_header_can_make_a_call_wait_longer_than_the_longest_wait(header: str) -> None:
    assert 0 <= wait_seconds(header, default=30) <= LONGEST_WAIT
