"""How a row of ours looks in the JSON of BigQuery's insertAll.

What belongs here: conversions of values, no call of any service.
"""

import base64
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal

from convergence_orchestration.errors import ErrorCode, PermanentError


def as_json(row: Mapping[str, object]) -> dict[str, object]:
    """One row with values that JSON can hold: RFC 3339 times, base64 bytes, decimals as text.

    Raises:
        PermanentError: INVALID_ARGUMENT for a time without a time zone: BigQuery would take it for UTC.
    """
    return {column: _value(column, value) for column, value in row.items()}


def _value(column: str, value: object) -> object:
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise PermanentError(
                ErrorCode.INVALID_ARGUMENT,
                f"Give {column} a time with a time zone, datetime.now(UTC) for example.",
            )
        return value.isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, Sequence | frozenset | set) and not isinstance(value, str):
        return [_value(column, part) for part in value]
    return value
