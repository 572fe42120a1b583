"""Rules that send traffic forward: the first stage, its verification, the next stage, the end.

What belongs here: rules that end in more traffic for the candidate, or wait for what was asked to be so.
"""

from convergence_orchestration.releases.actions import Action, Finish, Nothing, StageVerified
from convergence_orchestration.releases.case import Case
from convergence_orchestration.releases.judge import Judgement
from convergence_orchestration.releases.model import NONE, WHOLE, Condition, Verdict
from convergence_orchestration.releases.stages import Seen, seen


def somebody_promotes_now(case: Case) -> Action | None:
    """A person's promotion: to the stage named or the next one, whatever the clock, a pause or a freeze says."""
    wish, asked = case.rollout.promote_now, case.rollout.asked
    if wish is None:
        return None
    at = asked.percent if asked is not None else NONE
    named = wish.traffic_percent if wish.traffic_percent is not None and wish.traffic_percent > at else None
    percent = named or case.policy.next_stage(at)
    by = f"{wish.actor or 'Somebody'} promoted by hand: {wish.reason or 'no reason given'}."
    if percent is not None:
        return case.shift(percent, by, case.judgement.verdict, case.judgement.numbers)
    if case.verified_at is None:
        return None
    return Finish(revision=case.candidate, reason=by, verdict=case.judgement.verdict)


def nothing_was_asked_yet(case: Case) -> Action | None:
    """The first stage, also for a release that takes over from one that is under way."""
    if case.rollout.asked is not None:
        return None
    revision = case.service.revision(case.candidate)
    if revision is None or revision.ready is not Condition.SUCCEEDED:
        words = f"{case.candidate} is not ready yet: {revision.why if revision else 'it is not there'}."
        waiting = Judgement(Verdict.UNKNOWN, words)
        return case.hold_or_pause("candidate_pending", case.rollout.handed_over_at, waiting)
    if case.rollout.stable is None:
        return case.shift(WHOLE, "There is no other revision to share the traffic with.", Verdict.UNKNOWN)
    first = case.policy.stages[0]
    return case.shift(first, f"The first stage: {first} % for {case.candidate}.", Verdict.UNKNOWN)


def traffic_is_not_verified(case: Case) -> Action | None:
    """What was asked for is verified before anything counts, and asked for again if it never arrived."""
    asked = case.rollout.asked
    if asked is None or asked.verified_at is not None:
        return None
    state = seen(case.service, asked)
    if state is Seen.VERIFIED:
        words = f"{case.candidate} serves {asked.percent} %, verified; the stage bakes from now on."
        return StageVerified(revision=case.candidate, percent=asked.percent, reason=words)
    if case.now > asked.at + case.policy.settle or asked.times > case.policy.asks:
        words = (
            f"{asked.percent} % was asked for {asked.times} times and is not served yet: {case.service.why}"
        )
        return case.pause("not_served", words)
    if state is Seen.UNDER_WAY:
        return Nothing(reason=f"Cloud Run is moving the traffic to {asked.percent} %.")
    return case.shift(asked.percent, f"{asked.percent} % was not asked for yet.", Verdict.UNKNOWN)


def the_candidate_is_healthy(case: Case) -> Action | None:
    """The stage baked, the meters reach as far, and the judge is sure: the next stage, or the end."""
    judgement, ends, until = case.judgement, case.bake_ends_at, case.measured.until
    if judgement.verdict is not Verdict.HEALTHY or ends is None or until is None or until < ends:
        return None
    percent = case.policy.next_stage(case.rollout.asked.percent) if case.rollout.asked is not None else None
    if percent is None:
        words = f"{case.candidate} is stable. {judgement.words}"
        return Finish(
            revision=case.candidate, reason=words, verdict=judgement.verdict, numbers=judgement.numbers
        )
    return case.shift(percent, f"On to {percent} %. {judgement.words}", judgement.verdict, judgement.numbers)
