"""Errors judged while they arrive: Wald's sequential probability ratio test, and the same for a fault that starts late.

What belongs here: the arithmetic of errors against two rates. No verdict: judge.py draws those.

A. Wald, "Sequential Tests of Statistical Hypotheses", Annals of Mathematical Statistics 16 (1945) 117-186.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import exp, log

from convergence_orchestration.releases.evidence import Measurement

RESTARTS = 120
"""At how many moments a fault may start late; evidence is spread over all of them."""


@dataclass(frozen=True)
class ErrorTest:
    """Whether requests fail at the rate `good` or at the rate `bad`.

    Looked at as often as one likes, a service at `good` or better is convicted with probability below
    alpha / (1 - beta), one at `bad` or worse accepted below beta / (1 - alpha). For 0.1 % against 1 %, alpha 0.001 and beta
    0.01: three errors in a row convict, and some 680 answers accept a service at 0.1 %.
    """

    good: float
    bad: float
    alpha: float
    beta: float

    @property
    def convicts_at(self) -> float:
        """The log-likelihood ratio from which on it is `bad`."""
        return log((1 - self.beta) / self.alpha)

    @property
    def accepts_at(self) -> float:
        """The log-likelihood ratio down from which it is `good`."""
        return log(self.beta / (1 - self.alpha))

    def log_ratio(self, requests: int, errors: int) -> float:
        """Log of how much likelier the answers are at `bad` than at `good`."""
        return errors * log(self.bad / self.good) + (requests - errors) * log(
            (1 - self.bad) / (1 - self.good)
        )

    def late_log_ratio(self, measured: Iterable[Measurement], start: datetime, every: timedelta) -> float:
        """The same for a fault that starts at an unknown moment, one of RESTARTS, `every` apart from `start` on.

        Thousands of good answers would otherwise hide a fault that begins behind them. Each moment's ratio has an
        expectation of at most 1 for a service at `good` or better, so their mean has too, and (Ville's inequality) ever
        reaches 1 / alpha with probability at most alpha: a mixture over change points, as in J. Shin, A. Ramdas,
        A. Rinaldo, "E-detectors", New England Journal of Statistics in Data Science 2 (2024). Moments to come are left out,
        which errs on the safe side.
        """
        pieces = [0.0] * RESTARTS
        begun = 0
        for one in measured:
            at = min(max(int((one.start - start) / every), 0), RESTARTS - 1)
            pieces[at] += self.log_ratio(one.requests, one.errors)
            begun = max(begun, at + 1)
        ratio, ratios = 0.0, []
        for piece in reversed(pieces[:begun]):
            ratio += piece
            ratios.append(ratio)
        return log_sum(ratios) - log(RESTARTS)


def log_sum(logs: list[float]) -> float:
    """Log of the sum of what these are the logs of; minus infinity for none."""
    if not logs:
        return float("-inf")
    largest = max(logs)
    return largest + log(sum(exp(one - largest) for one in logs))
