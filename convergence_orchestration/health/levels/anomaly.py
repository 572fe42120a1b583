"""Whether the rate of requests is unusual, by the rates of the windows before.

What belongs here: the judgement. It is a robust z-score: the distance to the median of the windows before, in units of their
spread, which is the largest of 1.4826 times the median absolute deviation (for normal noise that is the standard deviation;
P. Rousseeuw, C. Croux, "Alternatives to the Median Absolute Deviation", 1993), the square root of the median (the noise of
independent callers, a Poisson process) and a tenth of the median (nobody is woken for less). Unlike mean and standard
deviation it is not moved by the one odd window that was there before.
"""

from collections.abc import Sequence
from itertools import dropwhile
from math import sqrt
from statistics import median

from convergence_orchestration.health.model import RequestRate, Window

EARLIER = {Window.FIVE_MINUTES: 12, Window.HOUR: 24, Window.DAY: 7, Window.MONTH: 0}
"""With so many windows before it one is compared."""
LEAST_EARLIER = {Window.FIVE_MINUTES: 6, Window.HOUR: 6, Window.DAY: 3, Window.MONTH: 1}
"""With fewer of them nothing is said."""
LEAST_REQUESTS = 100
"""In the window or as their median; with fewer nothing is said."""
UNUSUAL_SPREADS = 6.0
UNUSUAL_TIMES = 2.0
"""Besides, it has to be twice as many or half as few: what is statistically certain need not matter."""
_SCALE = 1.4826
_SMALLEST_SPREAD = 0.1


def judged(count: int, earlier: Sequence[int], window: Window) -> RequestRate | None:
    """What `count` requests are beside those of the windows before, the oldest first; None when too little is known.

    Zeros at the beginning do not count: nothing served then.
    """
    known = list(dropwhile(lambda one: one == 0, earlier))
    if len(known) < LEAST_EARLIER[window]:
        return None
    usual = median(known)
    if max(usual, count) < LEAST_REQUESTS:
        return None
    deviation = _SCALE * median(abs(one - usual) for one in known)
    spread = max(deviation, sqrt(usual), _SMALLEST_SPREAD * usual, 1.0)
    if count - usual > UNUSUAL_SPREADS * spread and count > UNUSUAL_TIMES * usual:
        return RequestRate.SURGE
    if usual - count > UNUSUAL_SPREADS * spread and count * UNUSUAL_TIMES < usual:
        return RequestRate.DROP
    return RequestRate.USUAL
