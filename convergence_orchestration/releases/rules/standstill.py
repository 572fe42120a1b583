"""Rules that leave the traffic where it is: a release that is over, that waits, that bakes, that cannot be decided.

What belongs here: rules that end in nothing, in a hold or in a pause.
"""

from datetime import datetime

from convergence_orchestration.releases.actions import Action, Hold, Nothing, Pause
from convergence_orchestration.releases.case import Case
from convergence_orchestration.releases.judge import Judgement
from convergence_orchestration.releases.model import EventKind, Verdict, shares_of
from convergence_orchestration.releases.policy import RolloutPolicy
from convergence_orchestration.releases.stages import Seen, seen
from convergence_orchestration.releases.standing import Rollout


def the_service_cannot_be_read(rollout: Rollout, policy: RolloutPolicy, now: datetime) -> Action:
    """Without the service nothing is known and nothing is done; past the deadline a person is called."""
    if rollout.ended is not None:
        return Nothing(reason=f"Release {rollout.release_id} is over.")
    because, until = "service_unreadable", rollout.last_at + policy.hold
    numbers = {"because": because}
    words = "The service could not be read, so its traffic stays as it is."
    if now <= until:
        return Hold(reason=words, because=because, until=until, numbers=numbers)
    alert = f"Release {rollout.release_id} waits for a person: {words}"
    return Pause(reason=words, because=because, alert=alert, numbers=numbers)


def the_release_is_over(case: Case) -> Action | None:
    """Finished or stopped: whoever moves traffic from now on does not meet a rollout."""
    if case.rollout.ended is None:
        return None
    return Nothing(reason=f"Release {case.rollout.release_id} is over.")


def somebody_else_moved_the_traffic(case: Case) -> Action | None:
    """A change made by hand stops the automation: it moves nothing until it is told to."""
    rollout = case.rollout
    if rollout.waits is not None and rollout.waits.kind is EventKind.OUTSIDE_CHANGE:
        return Nothing(reason=f"Waits for a person: {rollout.waits.reason}")
    if (
        rollout.asked is None
        or rollout.promote_now is not None
        or seen(case.service, rollout.asked) is not Seen.FOREIGN
    ):
        return None
    shown = (
        ", ".join(f"{name} {share} %" for name, share in shares_of(case.service.asked).items()) or "nothing"
    )
    wanted = ", ".join(f"{name} {share} %" for name, share in rollout.asked.shares.items())
    words = (
        f"Somebody else moved the traffic: it is {shown} instead of {wanted}. Resume, roll back or promote."
    )
    return Pause(
        reason=words,
        because="outside_change",
        alert=f"Release {rollout.release_id} waits for a person: {words}",
        outside_change=True,
        numbers={"because": "outside_change"},
    )


def it_waits_for_a_person(case: Case) -> Action | None:
    """Paused, by a person or past a deadline."""
    waits = case.rollout.waits
    if waits is None:
        return None
    return Nothing(reason=f"Paused by {waits.actor or 'the rollout'}: {waits.reason}")


def promotions_are_frozen(case: Case) -> Action | None:
    """In a freeze no stage is begun; one that was asked for is still verified."""
    freeze = case.freeze
    if freeze is None or (case.rollout.asked is not None and case.verified_at is None):
        return None
    judgement = case.judgement
    return Hold(
        reason=f"Nothing is promoted until {freeze.end:%Y-%m-%d %H:%M} UTC: {freeze.reason or 'a freeze'}.",
        because="frozen",
        until=freeze.end,
        verdict=judgement.verdict,
        numbers={**judgement.numbers, "because": "frozen"},
    )


def the_stage_bakes(case: Case) -> Action | None:
    """The stage is watched for as long as the policy says; exactly that long is enough."""
    ends = case.bake_ends_at
    if ends is None or case.now >= ends:
        return None
    judgement = case.judgement
    words = f"Bakes until {ends:%H:%M:%S} UTC. {judgement.words}"
    return Nothing(reason=words, verdict=judgement.verdict, numbers=judgement.numbers)


def it_cannot_be_decided(case: Case) -> Action:
    """Too few requests or missing data: neither promoted nor rolled back."""
    judgement = case.judgement
    since = case.bake_ends_at or case.now
    if judgement.verdict is not Verdict.HEALTHY:
        return case.hold_or_pause(judgement.verdict.lower(), since, judgement)
    until = case.measured.until
    reach = f"only until {until:%H:%M:%S} UTC" if until else "nothing"
    words = f"The meters show {reach}, and the stage baked until {since:%H:%M:%S}."
    return case.hold_or_pause("meters_behind", since, Judgement(Verdict.UNKNOWN, words, judgement.numbers))
