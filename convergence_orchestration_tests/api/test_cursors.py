from base64 import urlsafe_b64encode

import pytest

from convergence_orchestration.api.cursors import cursor_at, parse_cursor
from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration_tests.tenancy.builders import ACME, FIRST, request, seconds


def test_a_cursor_says_behind_which_request_the_next_page_begins() -> None:
    assert parse_cursor(cursor_at(request(ACME, 1.25))) == (seconds(1.25), FIRST)


@pytest.mark.parametrize(
    "text",
    ["", "2026-11-23", f"yesterday {FIRST}", f"2026-11-23T12:00:00 {FIRST}", "2026-11-23T12:00:00Z req_"],
)
def test_a_cursor_that_no_page_answered_is_refused(text: str) -> None:
    with pytest.raises(PermanentError) as raised:
        parse_cursor(urlsafe_b64encode(text.encode()).decode())

    assert (raised.value.code, raised.value.details) == (ErrorCode.INVALID_ARGUMENT, {"field": "before"})


@pytest.mark.parametrize("value", ["a", "ä", "____"])
def test_a_cursor_that_is_none_is_refused(value: str) -> None:
    with pytest.raises(PermanentError, match="next_before"):
        parse_cursor(value)
