import pytest
from hypothesis import given
from hypothesis import strategies as st

from convergence_orchestration.keys.base62 import ALPHABET, encoded


def test_the_alphabet_is_sixty_two_letters_and_digits_in_their_order() -> None:
    assert len(set(ALPHABET)) == 62
    assert list(ALPHABET) == sorted(ALPHABET)
    assert ALPHABET.isalnum()


@given(st.integers(min_value=0, max_value=62**8 - 1))
def test_a_number_reads_back_from_its_digits(number: int) -> None:
    text = encoded(number, 8)
    assert len(text) == 8
    assert sum(ALPHABET.index(digit) * 62**place for place, digit in enumerate(reversed(text))) == number


def test_a_number_that_needs_more_digits_is_refused() -> None:
    assert encoded(62**2 - 1, 2) == "zz"
    with pytest.raises(OverflowError):
        encoded(62**2, 2)
