"""Whether a proportion is above what is allowed, at every moment anew: slow answers, errors, shares of the traffic.

What belongs here: one anytime-valid test of a binomial proportion and what it is applied to. No verdict: judge.py
draws those.
"""

from dataclasses import dataclass
from math import log

from convergence_orchestration.releases.sprt import log_sum

ODDS = (1.25, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0, 100.0, 1000.0)
"""How many times the allowed odds the proportion may have; each is given the same weight."""


def log_evidence(count: int, total: int, allowed: float) -> float:
    """Log of the evidence that more than `allowed` (a proportion between 0 and 1) are counted.

    A mixture of likelihood ratios of proportions above `allowed` against it. Each has an expectation of at most 1 while the
    proportion is `allowed` or less, so the evidence ever reaches 1 / alpha with probability at most alpha, however
    often one looks and whenever one stops (Ville's inequality); it is the test behind a confidence sequence.

    H. Robbins, "Statistical Methods Related to the Law of the Iterated Logarithm", Annals of Mathematical Statistics 41
    (1970); S. R. Howard, A. Ramdas, J. McAuliffe, J. Sekhon, "Time-uniform, nonparametric, nonasymptotic confidence
    sequences", Annals of Statistics 49 (2021). That a quantile is kept is a proportion: of 100 answers at most 5 may be
    slower than the limit of p95 (S. R. Howard, A. Ramdas, "Sequential estimation of quantiles with applications to A/B
    testing and best-arm identification", Bernoulli 28 (2022)).
    """
    ratios = []
    for odds in ODDS:
        fewer = 1 - allowed + allowed * odds  # the alternative is allowed * odds / fewer
        ratios.append(count * log(odds) - total * log(fewer))
    return log_sum(ratios) - log(len(ODDS))


@dataclass(frozen=True)
class Count:
    """So many of so many."""

    count: int
    total: int

    @property
    def percent(self) -> float:
        """The proportion in percent; 0 of none."""
        return 100 * self.count / self.total if self.total else 0.0


def log_evidence_worse(candidate: Count, stable: Count, times: float = 1.0) -> float:
    """Log of the evidence that the candidate's proportion is above `times` the stable one's.

    Given how many were counted in all, the candidate's part of them is known if the proportions are equal: its part of the
    totals. Exact for rare events; for frequent ones it errs on the side of "not worse".
    """
    if not candidate.total or not stable.total:
        return float("-inf")
    expected = times * candidate.total / (times * candidate.total + stable.total)
    return log_evidence(candidate.count, candidate.count + stable.count, expected)


def log_evidence_quiet(candidate: int, stable: int, least: float) -> float:
    """Log of the evidence that the candidate answers less than the part `least` of all that both answer.

    Cloud Run counts a request when it ends and leaves out what no instance took, so a candidate that hangs has no errors and no
    latencies: it is merely missed.
    """
    return log_evidence(stable, candidate + stable, 1 - least)
