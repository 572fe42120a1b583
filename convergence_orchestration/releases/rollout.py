"""What to do next about a release: one pure decision from the service, the evidence, the history and the time.

What belongs here: the rules, most urgent first, each a function that returns an action or None. No I/O: the edge reads,
asks `decide`, appends the event of the action and then carries it out; whatever breaks in between, the next time goes on.
"""

from collections.abc import Callable, Iterable
from datetime import datetime

from convergence_orchestration.releases.actions import Action, Nothing
from convergence_orchestration.releases.case import Case
from convergence_orchestration.releases.evidence import Evidence
from convergence_orchestration.releases.history import fold
from convergence_orchestration.releases.model import ReleaseEvent, ServiceState
from convergence_orchestration.releases.policy import RolloutPolicy
from convergence_orchestration.releases.rules import backward, forward, standstill

RULES: tuple[Callable[[Case], Action | None], ...] = (
    backward.somebody_wants_to_go_back,
    backward.traffic_is_returning,
    standstill.the_release_is_over,
    standstill.somebody_else_moved_the_traffic,
    backward.the_stable_revision_was_deployed_again,
    backward.the_candidate_was_judged_bad_before,
    backward.the_candidate_failed,
    backward.the_candidate_is_unhealthy,
    forward.somebody_promotes_now,
    standstill.it_waits_for_a_person,
    backward.the_candidate_was_stable_lately,
    standstill.promotions_are_frozen,
    forward.nothing_was_asked_yet,
    forward.traffic_is_not_verified,
    standstill.the_stage_bakes,
    forward.the_candidate_is_healthy,
    standstill.it_cannot_be_decided,
)
"""Most urgent first; the first that applies decides."""


def decide(
    service: ServiceState | None,
    evidence: Evidence,
    history: Iterable[ReleaseEvent],
    policy: RolloutPolicy,
    now: datetime,
) -> Action:
    """What to do next: the same for the same arguments, however often it is asked.

    Args:
        service: as Cloud Run shows it now; None: it could not be read.
        evidence: of the candidate, the stable revision and whoever may get the traffic; what was measured before the stage
            is left out here.
        history: every event of this service and environment, the latest included: who writes one has to read it again.
        policy: how a release goes to everybody.
        now: UTC.
    """
    folded = fold(history)
    if folded.rollout is None:
        return Nothing(reason="There is no release.")
    if service is None:
        return standstill.the_service_cannot_be_read(folded.rollout, policy, now)
    case = Case(service, evidence, folded, folded.rollout, policy, now)
    actions = (rule(case) for rule in RULES)
    return next(action for action in actions if action is not None)
