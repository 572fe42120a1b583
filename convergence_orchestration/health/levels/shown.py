"""Levels of service as words, for tables: each number beside what is promised, and unknown as unknown.

What belongs here: words. Where they are shown is the business of whoever shows them.
"""

from convergence_orchestration.health.model import Objectives, ServiceLevels

UNKNOWN = "unknown"
COLUMNS = (
    "revision",
    "window",
    "requests",
    "per second",
    "rate",
    "availability",
    "errors",
    "p95",
    "p99",
    "budget left",
    "burn rate",
    "verdict",
)
"""Of `row_of`."""


def row_of(levels: ServiceLevels, objectives: Objectives) -> dict[str, str]:
    """A table's row."""
    row = {
        "revision": levels.revision or "all",
        "window": levels.window.value,
        "requests": UNKNOWN if levels.requests is None else str(levels.requests),
        "per second": _number(levels.requests_per_second, "{:.2f}"),
        "rate": levels.anomaly.value.lower() if levels.anomaly is not None else UNKNOWN,
        "availability": _number(levels.availability, "{:.3%}"),
        "errors": _number(levels.error_rate, "{:.3%}"),
        "p95": _number(levels.p95_ms, "{:.0f} ms"),
        "p99": _number(levels.p99_ms, "{:.0f} ms"),
        "budget left": _number(levels.budget_left, "{:.1%}"),
        "burn rate": _number(levels.burn_rate, "{:.2f}"),
        "verdict": verdict(levels, objectives),
    }
    return {column: row[column] for column in COLUMNS}


def is_missed(levels: ServiceLevels, objectives: Objectives) -> bool:
    """Whether a promise is certainly not kept."""
    return any(is_kept is False for is_kept in _kept(levels, objectives).values())


def verdict(levels: ServiceLevels, objectives: Objectives) -> str:
    """`kept`, or what is not, or that it is not known; what is not kept is said before what is not known."""
    kept = _kept(levels, objectives)
    missed = [name for name, is_kept in kept.items() if is_kept is False]
    if missed:
        return f"missed: {', '.join(missed)}"
    missing = [name for name, is_kept in kept.items() if is_kept is None]
    return f"{UNKNOWN}: {', '.join(missing)}" if missing else "kept"


def _kept(levels: ServiceLevels, objectives: Objectives) -> dict[str, bool | None]:
    """Each promise: whether it is kept; None: unknown."""
    return {
        "availability": _at_least(levels.availability, objectives.availability),
        "p95": _at_most(levels.p95_ms, objectives.p95_ms),
        "p99": _at_most(levels.p99_ms, objectives.p99_ms),
        "errors": _at_most(levels.error_rate, objectives.error_rate),
    }


def _at_least(value: float | None, objective: float) -> bool | None:
    return None if value is None else value >= objective


def _at_most(value: float | None, objective: float) -> bool | None:
    return None if value is None else value <= objective


def _number(value: float | None, form: str) -> str:
    return UNKNOWN if value is None else form.format(value)
