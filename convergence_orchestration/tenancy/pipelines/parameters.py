"""What a pipeline can be told: names, types and limits of its parameters.

What belongs here: one frozen dataclass and one check for each pipeline. No I/O.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.warehouse.catalogue import tenant_tables

DEFAULT_MAX_AGE_HOURS = 24
MOST_MAX_AGE_HOURS = 24 * 366
_NAMES = ("tables", "max_age_hours")


@dataclass(frozen=True)
class DataQuality:
    """Which of the tenant's tables are checked, and after how many hours without a new row one is stale."""

    tables: tuple[str, ...]
    max_age_hours: int

    def as_json(self) -> dict[str, object]:
        """The fields as JSON has them."""
        return {"tables": list(self.tables), "max_age_hours": self.max_age_hours}


def parse_data_quality(values: Mapping[str, object]) -> DataQuality:
    """The parameters of `data_quality`: `tables` (all if left out or empty) and `max_age_hours` (24).

    Raises:
        PermanentError: INVALID_ARGUMENT, naming what there is.
    """
    if not values.keys() <= set(_NAMES):
        raise _wrong("parameters", f"Choose parameters from {', '.join(_NAMES)}.")
    return DataQuality(_tables(values.get("tables", [])), _hours(values.get("max_age_hours")))


def _tables(value: object) -> tuple[str, ...]:
    names = tuple(spec.name for spec in tenant_tables())
    if not isinstance(value, list) or any(name not in names for name in value):
        raise _wrong("parameters.tables", f"Choose tables as a list of some of {', '.join(names)}.")
    return tuple(name for name in names if name in value) or names


def _hours(value: object) -> int:
    if value is None:
        return DEFAULT_MAX_AGE_HOURS
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= MOST_MAX_AGE_HOURS:
        raise _wrong(
            "parameters.max_age_hours",
            f"Give max_age_hours as a whole number from 1 to {MOST_MAX_AGE_HOURS}.",
        )
    return value


def _wrong(field: str, message: str) -> PermanentError:
    return PermanentError(ErrorCode.INVALID_ARGUMENT, message, {"field": field})
