"""The errors that an objective allows: how much of them is left, and how fast they are used.

What belongs here: arithmetic. The terms are those of Google's Site Reliability Workbook, chapter 5 (2018).
"""


def burn_rate(error_rate: float | None, objective: float) -> float | None:
    """How many times as fast as allowed errors come; 1 uses the budget up exactly by the end of the objective's period.

    Args:
        error_rate: 0 to 1; None: unknown.
        objective: the share of good answers that is promised, below 1.
    """
    return None if error_rate is None else error_rate / (1 - objective)


def budget_left(error_rate: float | None, objective: float) -> float | None:
    """The share of the window's own budget that is left: 1 without an error, below 0 when more came than are allowed."""
    burnt = burn_rate(error_rate, objective)
    return None if burnt is None else 1 - burnt
