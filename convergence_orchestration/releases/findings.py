"""What each kind of evidence says by itself: errors, latencies, the share of the traffic, probes.

What belongs here: one function for each, from evidence to a finding. judge.py makes one verdict of them.
"""

from dataclasses import dataclass
from math import log

from convergence_orchestration.releases.evidence import Histogram, RevisionEvidence
from convergence_orchestration.releases.model import NO_NUMBERS, WHOLE, Numbers, Percent, Verdict
from convergence_orchestration.releases.policy import RolloutPolicy
from convergence_orchestration.releases.proportions import (
    Count,
    log_evidence,
    log_evidence_quiet,
    log_evidence_worse,
)
from convergence_orchestration.releases.sprt import ErrorTest

FURTHER_TESTS = 7
"""Besides the ratio test of errors: late errors, any rate of errors, errors beside the stable revision's, p95, p99, share, probes."""
BAKE_PARTS = 60
"""Into how many parts a bake is cut for faults that start late."""


@dataclass(frozen=True)
class Finding:
    """What one kind of evidence says, in a sentence and in numbers."""

    verdict: Verdict
    words: str
    numbers: Numbers = NO_NUMBERS


@dataclass(frozen=True)
class Sureness:
    """How sure to be: log evidence that convicts or excuses."""

    policy: RolloutPolicy

    @property
    def errors(self) -> ErrorTest:
        """The ratio test of errors."""
        sure = self.policy.judge
        return ErrorTest(
            self.policy.targets.allowed_errors, sure.bad_error_percent / WHOLE, sure.alpha, sure.beta
        )

    @property
    def convicts_at(self) -> float:
        """The log evidence from which on each further test convicts; together they err as often as the first alone."""
        return log(FURTHER_TESTS / self.policy.judge.alpha)

    @property
    def excuses_at(self) -> float:
        """The log evidence from which on the stable revision is slow itself, and the candidate worse than it."""
        return log(1 / self.policy.judge.alpha)


def errors(sure: Sureness, candidate: RevisionEvidence, stable: RevisionEvidence | None) -> Finding:
    """Whether the candidate answers with more errors than the targets allow, or than the stable revision does."""
    if candidate.measured is None:
        return Finding(Verdict.UNKNOWN, "The candidate's requests could not be read.")
    seen = Count(candidate.errors, candidate.answered)
    ratio = sure.errors.log_ratio(seen.total, seen.count)
    numbers: dict[str, object] = {
        "requests": candidate.requests,
        "errors": seen.count,
        "unanswered": candidate.unanswered,
        "error_percent": round(seen.percent, 4),
        "error_log_ratio": round(ratio, 3),
    }
    said = f"{seen.count} of {seen.total} answers were errors ({seen.percent:.2f} %)"
    both = _common(candidate, stable)
    beside = _errors_of(both)
    if beside is not None:
        numbers |= {"stable_requests": beside[1].total, "stable_errors": beside[1].count}
    if _too_many_errors(sure, candidate):
        guilty = Finding(Verdict.UNHEALTHY, f"{said}; {_allowed(sure)}.", numbers)
        return _blame(
            sure, guilty, beside, stable_is_bad=both is not None and _too_many_errors(sure, both[1])
        )
    if beside is not None and _worse(sure, beside):
        words = f"{said}, the stable revision's {beside[1].percent:.2f} % in the same minutes."
        return Finding(Verdict.UNHEALTHY, words, numbers)
    if seen.total < sure.policy.judge.minimum_requests:
        words = (
            f"{seen.total} answers are too few to judge by, {sure.policy.judge.minimum_requests} are needed."
        )
        return Finding(Verdict.INCONCLUSIVE, words, numbers)
    if ratio > sure.errors.accepts_at:
        return Finding(
            Verdict.INCONCLUSIVE, f"{said}, which does not show yet that it is good enough.", numbers
        )
    return Finding(Verdict.HEALTHY, f"{said}.", numbers)


def latency(
    sure: Sureness,
    candidate: RevisionEvidence,
    stable: RevisionEvidence | None,
    percentile: int,
    *,
    is_only: bool = False,
) -> Finding:
    """Whether more of the candidate's answers than allowed are slower than the limit of p95 or p99.

    Of the only revision nothing is decided by it: what is slow may be what its callers asked for, and without another revision
    nothing tells the two apart, nor is there anything to go back to. The service's own alerts watch its latency.
    """
    if candidate.measured is None:
        return Finding(Verdict.UNKNOWN, "The candidate's latencies could not be read.")
    if candidate.requests == 0:
        return Finding(Verdict.INCONCLUSIVE, "There were no answers to take the time of.")
    if candidate.latencies is None:
        return Finding(Verdict.UNKNOWN, "The candidate's latencies are missing for some of its answers.")
    limit = sure.policy.targets.p95_ms if percentile == 95 else sure.policy.targets.p99_ms  # noqa: PLR2004 p95
    allowed = 1 - percentile / WHOLE
    slow = _slow(candidate.latencies, limit)
    measured = candidate.latencies.quantile(percentile / WHOLE)
    numbers = {f"p{percentile}_ms": round(measured or 0.0, 1), f"slower_than_{limit:g}_ms": slow.count}
    rule = "not judged without another revision" if is_only else f"at most {limit:g} allowed"
    said = f"p{percentile} is {measured or 0.0:.0f} ms ({rule})"
    if not is_only and _exceeds(slow, allowed, sure.convicts_at):
        beside = _slow_of(_common(candidate, stable), limit)
        is_slow = beside is not None and _exceeds(beside[1], allowed, sure.excuses_at)
        return _blame(sure, Finding(Verdict.UNHEALTHY, f"{said}.", numbers), beside, stable_is_bad=is_slow)
    if not is_only and candidate.latencies.slower_than(limit) > allowed * slow.total + 1e-9:
        return Finding(Verdict.INCONCLUSIVE, f"{said}, which may still be chance.", numbers)
    return Finding(Verdict.HEALTHY, f"{said}.", numbers)


def traffic(
    sure: Sureness, candidate: RevisionEvidence, stable: RevisionEvidence | None, share: Percent | None
) -> Finding:
    """Whether the candidate answers its share of the traffic; one that hangs is quiet rather than wrong."""
    if share is None or share == WHOLE or stable is None or stable.measured is None:
        return Finding(Verdict.HEALTHY, "The candidate's share of the traffic is not compared.")
    both = _common(candidate, stable)
    mine, theirs = (one.answered_callers for one in both) if both is not None else (0, 0)
    if not mine + theirs:
        return Finding(Verdict.INCONCLUSIVE, "There was no traffic in which both could have a share.")
    seen = 100 * mine / (mine + theirs)
    numbers = {"share_percent": round(seen, 2), "share_asked_percent": int(share)}
    said = f"The candidate answered {seen:.1f} % of the requests, {share} % were sent to it"
    least = sure.policy.judge.least_share * share / WHOLE
    if log_evidence_quiet(mine, theirs, least) >= sure.convicts_at:
        given_up = f" {candidate.unanswered} callers gave up." if candidate.unanswered else ""
        return Finding(Verdict.UNHEALTHY, f"{said}: the others hang or never reach it.{given_up}", numbers)
    return Finding(Verdict.HEALTHY, f"{said}.", numbers)


def probes(sure: Sureness, candidate: RevisionEvidence, stable: RevisionEvidence | None = None) -> Finding:
    """Whether the candidate answers on its tag: a few failures in a row convict, and so do more than may be, one here and one there.

    What dies and is started again and again shows in its probes: no meter counts the requests that met no instance.
    """
    seen = candidate.probes
    if seen is None or seen.ok + seen.failed == 0:
        return Finding(Verdict.UNKNOWN, "The candidate's tag was not probed.")
    numbers = {"probes_ok": seen.ok, "probes_failed": seen.failed, "probes_unknown": seen.unknown}
    if seen.failed_in_a_row >= sure.policy.judge.probe_failures:
        words = (
            f"{seen.failed_in_a_row} probes of the tag failed in a row: {seen.last_failure or 'no answer'}."
        )
        return Finding(Verdict.UNHEALTHY, words, numbers)
    failed, allowed = Count(seen.failed, seen.ok + seen.failed), sure.errors.good
    if _exceeds(failed, allowed, sure.convicts_at):
        words = (
            f"{failed.count} of {failed.total} probes of the tag failed: {seen.last_failure or 'no answer'}."
        )
        theirs = stable.probes if stable is not None else None
        beside = Count(theirs.failed, theirs.ok + theirs.failed) if theirs is not None else Count(0, 0)
        is_bad = _exceeds(beside, allowed, sure.excuses_at)
        guilty = Finding(Verdict.UNHEALTHY, words, numbers)
        return _blame(sure, guilty, (failed, beside), stable_is_bad=is_bad)
    if seen.failed_in_a_row or not seen.ok:
        return Finding(Verdict.INCONCLUSIVE, "The last probe of the tag failed.", numbers)
    return Finding(Verdict.HEALTHY, f"{seen.ok} probes of the tag were answered.", numbers)


def is_failing(sure: Sureness, revision: RevisionEvidence) -> bool:
    """Whether what is known of a revision forbids giving it the traffic; nothing known forbids nothing."""
    if revision.probes is not None and probes(sure, revision).verdict is Verdict.UNHEALTHY:
        return True
    # a little above the target is no reason to leave a revision that everybody knows
    is_gross = revision.errors >= sure.errors.bad * revision.requests
    return is_gross and _too_many_errors(sure, revision)


def _too_many_errors(sure: Sureness, revision: RevisionEvidence) -> bool:
    if not revision.measured or not revision.errors:
        return False
    test = sure.errors
    if test.log_ratio(revision.requests, revision.errors) >= test.convicts_at:
        return True
    if log_evidence(revision.errors, revision.requests, test.good) >= sure.convicts_at:
        return True
    start, every = revision.measured[0].start, sure.policy.bake / BAKE_PARTS
    return test.late_log_ratio(revision.measured, start, every) >= sure.convicts_at


def _worse(sure: Sureness, beside: tuple[Count, Count]) -> bool:
    times = sure.policy.judge.worse_than_stable
    return log_evidence_worse(*beside, times) >= sure.convicts_at


def _exceeds(seen: Count, allowed: float, convicts_at: float) -> bool:
    return log_evidence(seen.count, seen.total, allowed) >= convicts_at


def _allowed(sure: Sureness) -> str:
    return f"at most {WHOLE * sure.errors.good:g} % are allowed"


def _blame(
    sure: Sureness, finding: Finding, beside: tuple[Count, Count] | None, *, stable_is_bad: bool
) -> Finding:
    """The finding; not the candidate's fault when the stable revision is just as bad in the same minutes."""
    if beside is None or not stable_is_bad or log_evidence_worse(*beside) >= sure.excuses_at:
        return finding
    theirs = round(beside[1].percent, 2)
    words = f"{finding.words} The stable revision is just as bad ({theirs:g} %), so it is not the release."
    numbers = {**finding.numbers, "beyond_the_release": True, "stable_bad_percent": theirs}
    return Finding(Verdict.INCONCLUSIVE, words, numbers)


def _common(
    candidate: RevisionEvidence, stable: RevisionEvidence | None
) -> tuple[RevisionEvidence, RevisionEvidence] | None:
    """Both in the minutes that both meters reach; None when there are none."""
    if stable is None or candidate.until is None or stable.until is None:
        return None
    end = min(candidate.until, stable.until)
    return candidate.before(end), stable.before(end)


def _errors_of(both: tuple[RevisionEvidence, RevisionEvidence] | None) -> tuple[Count, Count] | None:
    if both is None or both[0].requests + both[1].requests == 0:
        return None
    return Count(both[0].errors, both[0].requests), Count(both[1].errors, both[1].requests)


def _slow_of(
    both: tuple[RevisionEvidence, RevisionEvidence] | None, limit_ms: float
) -> tuple[Count, Count] | None:
    if both is None or both[0].latencies is None or both[1].latencies is None:
        return None
    return _slow(both[0].latencies, limit_ms), _slow(both[1].latencies, limit_ms)


def _slow(latencies: Histogram, limit_ms: float) -> Count:
    return Count(latencies.surely_slower_than(limit_ms), latencies.total)
