from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import pytest

from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.gcp.rows import as_json

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("text", "text"),
        (7, 7),
        (True, True),
        (None, None),
        (NOON, "2026-11-23T12:00:00+00:00"),
        (NOON.astimezone(timezone(timedelta(hours=2))), "2026-11-23T14:00:00+02:00"),
        (date(2026, 11, 23), "2026-11-23"),
        (b"hi", "aGk="),
        (Decimal("1.10"), "1.10"),
        (("a", "b"), ["a", "b"]),
        ([NOON], ["2026-11-23T12:00:00+00:00"]),
    ],
)
def test_a_value_becomes_what_json_can_hold(value: object, expected: object) -> None:
    assert as_json({"column": value}) == {"column": expected}


def test_a_time_without_a_zone_is_refused_by_its_column() -> None:
    with pytest.raises(PermanentError, match="Give recorded_at a time with a time zone") as caught:
        as_json({"recorded_at": datetime(2026, 11, 23)})  # noqa: DTZ001 that is the mistake

    assert caught.value.code is ErrorCode.INVALID_ARGUMENT
