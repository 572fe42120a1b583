"""Rules that send traffic back: what a person wants, and what the candidate's state demands.

What belongs here: rules that end in a rollback, or in the end of a release that got no traffic.
"""

from convergence_orchestration.releases.actions import Action, Finish, Nothing, Stop
from convergence_orchestration.releases.case import Case
from convergence_orchestration.releases.judge import Judgement
from convergence_orchestration.releases.model import WHOLE, Condition, EventKind, RevisionName, Verdict
from convergence_orchestration.releases.stages import Seen, seen
from convergence_orchestration.releases.standing import Asked


def somebody_wants_to_go_back(case: Case) -> Action | None:
    """A person's abort or rollback, at any moment, also when the release was finished."""
    wish = case.rollout.go_back
    if wish is None:
        return None
    by = f"{wish.actor or 'Somebody'} asked for it: {wish.reason or 'no reason given'}."
    wanted = wish.revision if wish.kind is EventKind.ROLL_BACK_ASKED else None
    judgement = case.judgement if case.rollout.is_under_way else None
    if judgement is not None and judgement.verdict is not Verdict.UNHEALTHY:
        judgement = Judgement(Verdict.UNKNOWN, "", judgement.numbers)
    return case.go_back(wanted, by, judgement, wish.event_id)


def traffic_is_returning(case: Case) -> Action | None:
    """A rollback that was asked for goes on until the service shows it."""
    asked, rollout = case.rollout.asked, case.rollout
    if not rollout.returning or rollout.ended is not None or asked is None:
        return None
    to = next(iter(asked.shares))
    state = seen(case.service, asked)
    if state is Seen.VERIFIED:
        return _arrived(case, to)
    if not case.service.is_ready(to):
        return case.go_back(None, f"{to} cannot serve any more.")
    if state is Seen.FOREIGN:
        return None  # the rule about changes from outside
    return _insist(case, asked, to, state)


def the_stable_revision_was_deployed_again(case: Case) -> Action | None:
    """Deploying what is stable, in the middle of a rollout, takes that rollout back at once."""
    stable = case.rollout.stable
    if stable is None or case.rollout.asked is not None or not _is_same(case, case.candidate, stable):
        return None
    if case.candidate == stable and case.service.serves({stable: WHOLE}):
        return Finish(revision=stable, reason=f"{stable} is stable and has all traffic already.")
    if case.candidate != stable and case.service.serves({stable: WHOLE}):
        return Stop(revision=case.candidate, reason=f"It is the same as {stable}, which is stable already.")
    return case.go_back(stable, f"{stable} was deployed again, so the traffic goes back to it.")


def the_candidate_was_judged_bad_before(case: Case) -> Action | None:
    """A bad revision is not tried again unless somebody asks for a retry."""
    if case.candidate not in case.history.bad:
        return None
    words = f"{case.candidate} was judged bad before; retry the release to forgive it."
    return _out(case, Judgement(Verdict.UNHEALTHY, words))


def the_candidate_failed(case: Case) -> Action | None:
    """Cloud Run says that the candidate never will serve, or has it no more."""
    revision = case.service.revision(case.candidate)
    if revision is not None and revision.ready is not Condition.FAILED:
        return None
    words = (
        f"{case.candidate} failed: {revision.why}"
        if revision
        else f"{case.candidate} does not exist any more."
    )
    return _out(case, Judgement(Verdict.UNHEALTHY, words))


def the_candidate_is_unhealthy(case: Case) -> Action | None:
    """What was measured convicts the candidate: at once, whatever it waits for, paused or promoted by hand."""
    if case.judgement.verdict is not Verdict.UNHEALTHY:
        return None
    return _out(case, case.judgement)


def the_candidate_was_stable_lately(case: Case) -> Action | None:
    """Within the rollback window a revision that was stable comes back without stages."""
    if case.rollout.asked is not None:
        return None
    for name, until in case.history.good.items():
        if (
            until is None
            or case.now > until + case.policy.rollback_window
            or not _is_same(case, case.candidate, name)
        ):
            continue
        if case.service.is_ready(name):
            return case.go_back(
                name, f"{name} was stable until {until:%H:%M} UTC and comes back without stages."
            )
    return None


def _insist(case: Case, asked: Asked, to: RevisionName, state: Seen) -> Action:
    """A rollback is asked for until it is there; meanwhile a person hears that it takes long."""
    overdue = case.now > asked.at + case.policy.settle or asked.times > case.policy.asks
    if overdue and case.rollout.waits is None:
        words = f"The rollback to {to} was asked for {asked.times} times and is not served yet: {case.service.why}"
        return case.pause("rollback_not_served", words)
    if state is Seen.UNDER_WAY:
        return Nothing(reason=f"Cloud Run is giving the traffic to {to}.")
    return case.go_back(to, f"The rollback to {to} was not carried out yet.")


def _arrived(case: Case, to: RevisionName) -> Action:
    if to == case.candidate:
        return Finish(revision=to, reason=f"{to} has all traffic again.")
    return Stop(revision=case.candidate, reason=f"{to} has all traffic, verified.")


def _out(case: Case, judgement: Judgement) -> Action:
    if not case.has_traffic:
        return Stop(
            revision=case.candidate,
            reason=judgement.words,
            verdict=judgement.verdict,
            numbers=judgement.numbers,
        )
    return case.go_back(None, judgement.words, judgement)


def _is_same(case: Case, one: RevisionName, other: RevisionName) -> bool:
    """Whether both are the same revision, or made from the same template."""
    if one == other:
        return True
    first, second = case.service.revision(one), case.service.revision(other)
    return first is not None and second is not None and first.template == second.template != ""
