"""How many instances a revision shall have.

What belongs here: the decision from load to a number. It follows growth at once and shrinks slowly: one instance less for
each minute that fewer would have been enough.
"""

import math
from dataclasses import dataclass, replace

_USED = 0.6
"""The share of an instance's concurrency that is filled before another is started, as Cloud Run aims for."""
SHRINK_SECONDS = 60.0


@dataclass(frozen=True)
class Bounds:
    """What the revision's template allows. At least one instance is kept: nothing here starts from zero."""

    minimum: int
    maximum: int
    concurrency: int

    def within(self, most: int | None) -> "Bounds":
        """The same on a machine that has room for so many; None: for any number."""
        if most is None:
            return self
        return replace(self, minimum=min(self.minimum, most), maximum=min(self.maximum, most))


@dataclass(frozen=True)
class Scale:
    """How many instances there shall be, and since when (seconds) fewer would have been enough."""

    count: int
    enough_since: float | None = None


def rescale(before: Scale, bounds: Bounds, in_flight: float | None, now: float) -> Scale:
    """The number for a load of so many requests at once; an unknown load (None) changes nothing."""
    lowest, highest = max(1, bounds.minimum), max(1, bounds.maximum)
    current = min(max(before.count, lowest), highest)
    if in_flight is None:
        return Scale(current)
    needed = math.ceil(in_flight / (bounds.concurrency * _USED))
    needed = min(max(needed, lowest), highest)
    if needed >= current:
        return Scale(needed)
    since = now if before.enough_since is None else before.enough_since
    if now - since < SHRINK_SECONDS:
        return Scale(current, since)
    return Scale(current - 1, now)
