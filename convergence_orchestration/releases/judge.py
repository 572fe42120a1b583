"""Whether a candidate is fit to serve, from what was measured: a verdict with its sentences and numbers.

What belongs here: drawing verdicts from evidence. Which evidence counts and what follows is rollout.py's business, the
arithmetic is in sprt.py and proportions.py.
"""

from dataclasses import dataclass

from convergence_orchestration.releases.evidence import RevisionEvidence
from convergence_orchestration.releases.findings import Finding, Sureness, errors, latency, probes, traffic
from convergence_orchestration.releases.model import NO_NUMBERS, Numbers, Percent, Verdict
from convergence_orchestration.releases.policy import RolloutPolicy

_WORST_FIRST = (Verdict.UNHEALTHY, Verdict.UNKNOWN, Verdict.INCONCLUSIVE, Verdict.HEALTHY)


@dataclass(frozen=True)
class Judgement:
    """A verdict, the sentences that matter for it, and all numbers."""

    verdict: Verdict
    words: str
    numbers: Numbers = NO_NUMBERS


def judge(
    candidate: RevisionEvidence,
    stable: RevisionEvidence | None,
    share: Percent | None,
    policy: RolloutPolicy,
    *,
    is_only: bool = False,
) -> Judgement:
    """What the evidence says of the candidate.

    Args:
        candidate: of this stage alone.
        stable: of the same minutes; None or without requests: the targets alone count.
        share: of the traffic that the candidate should see; None: not known yet, or nothing to compare with.
        policy: targets and how sure to be.
        is_only: there is no other revision, so its latency decides nothing.
    """
    sure = Sureness(policy)
    findings = [
        errors(sure, candidate, stable),
        latency(sure, candidate, stable, 95, is_only=is_only),
        latency(sure, candidate, stable, 99, is_only=is_only),
        traffic(sure, candidate, stable, share),
        probes(sure, candidate, stable),
    ]
    numbers: dict[str, object] = {}
    for finding in findings:
        numbers.update(finding.numbers)
    verdict = _worst(findings)
    words = " ".join(finding.words for finding in findings if finding.verdict is verdict)
    return Judgement(verdict, words, numbers)


def _worst(findings: list[Finding]) -> Verdict:
    said = {finding.verdict for finding in findings}
    return next(verdict for verdict in _WORST_FIRST if verdict in said)
