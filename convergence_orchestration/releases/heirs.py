"""Who gets all traffic when a candidate has to go.

What belongs here: choosing a healthy revision, and saying so when it is not the one that was meant.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from convergence_orchestration.releases.evidence import Evidence
from convergence_orchestration.releases.findings import Sureness, is_failing
from convergence_orchestration.releases.model import RevisionName, ServiceState
from convergence_orchestration.releases.policy import RolloutPolicy
from convergence_orchestration.releases.standing import History


@dataclass(frozen=True)
class Heir:
    """Who gets all traffic; `words` is empty when it is the one that was meant."""

    revision: RevisionName
    words: str = ""


def choose_heir(
    service: ServiceState,
    evidence: Evidence,
    history: History,
    policy: RolloutPolicy,
    wanted: RevisionName | None,
    leaving: RevisionName | None,
) -> Heir | None:
    """The first healthy one of: the one wanted, the stable one, those that were stable before, newest first.

    A revision can take the traffic if it is ready and was not judged bad; healthy is one whose probes and answers, as far
    as there are any, do not speak against it. If none is, the first that can take it: less bad than the one that leaves.

    Args:
        service: which revisions there are and which are ready.
        evidence: probes and answers of each.
        history: who was stable, who was judged bad.
        policy: what healthy means.
        wanted: meant to get it; None: the stable one.
        leaving: never gets it; None: it is free to stay.

    Returns:
        None when no revision can take it.
    """
    sure = Sureness(policy)
    able = [
        name
        for name in dict.fromkeys(_candidates(history, wanted))
        if name != leaving and name not in history.bad and service.is_ready(name)
    ]
    healthy = [name for name in able if not is_failing(sure, evidence.of(name))]
    meant = wanted or (history.rollout.stable if history.rollout is not None else None)
    if healthy:
        return Heir(healthy[0], "" if healthy[0] == meant else _instead(meant, healthy[0]))
    if able:
        return Heir(able[0], f"{able[0]} looks unhealthy too, but there is no better one.")
    return None


def _candidates(history: History, wanted: RevisionName | None) -> Iterator[RevisionName]:
    if wanted is not None:
        yield wanted
    if history.rollout is not None and history.rollout.stable is not None:
        yield history.rollout.stable
    yield from reversed(list(history.good))


def _instead(meant: RevisionName | None, chosen: RevisionName) -> str:
    return f"{meant or 'No stable revision'} cannot take the traffic or is unhealthy, so it goes to {chosen}."
