"""Making the one revision of a release, on its tag and without traffic.

What belongs here: asking Cloud Run until it is so, whoever else changes the service and however often this is killed and
begun again. Where the revision stands is placing.py.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from google.cloud.run_v2 import RevisionTemplate

from convergence_orchestration.errors import ConvergenceError, ErrorCode, PermanentError, TransientError
from convergence_orchestration.gcp.run import condition_of, is_ready, is_stale
from convergence_orchestration.releases.model import (
    Condition,
    ReleaseEvent,
    RevisionName,
    ServiceState,
    TrafficTarget,
)
from convergence_orchestration.releases.placing import (
    choose_tag,
    has_tag,
    stable_of,
    tag_uri,
    traffic_with,
    traffic_without,
    unproven,
)
from convergence_orchestration.releases.site import Site
from convergence_orchestration.releases.template import FIELDS, changed_service, traffic_targets

_RACES: Final = 5
"""So often the service is read again because somebody else has changed it; then the call gives up."""


@dataclass(frozen=True)
class Deployed:
    """A revision that can serve.

    Attributes:
        stable: who has the traffic; None for a first deployment.
        uri: where its tag answers.
        is_new: this call made it.
    """

    revision: RevisionName
    stable: RevisionName | None
    tag: str
    uri: str
    image: str
    is_new: bool


def ensure_revision(site: Site, template: RevisionTemplate, events: Iterable[ReleaseEvent]) -> Deployed:
    """The template's revision, on a tag and ready; traffic is as it was.

    Args:
        site: where.
        template: names its revision.
        events: of the service, which say whose deployment failed.

    Raises:
        PermanentError: FAILED_PRECONDITION if the revision can never serve; its tag is taken away again then.
        TransientError: it was not decided in time, or others keep changing the service.
    """
    name = RevisionName(template.revision)
    failed = unproven(events)
    is_new = _ask_until_asked(site, template, name, failed)
    revision = site.run.wait_for_revision(site.service, name, site.ready_seconds)
    if not is_ready(revision):
        ready = condition_of(revision)
        withdraw(site, name)
        raise _cannot_serve(name, ready.message if ready is not None else "")
    site.run.wait_until_settled(site.service, site.ready_seconds)
    state = site.read(name)
    uri = tag_uri(state, name) if state is not None else ""
    if state is None or not uri:
        why = state.why if state is not None else "The service is gone."
        raise TransientError(
            ErrorCode.UNAVAILABLE, f"Launch the release again: {name} is ready, but no tag leads to it. {why}"
        )
    tag = next(target.tag for target in state.serving if target.uri == uri)
    stable = stable_of(state, name, failed)
    return Deployed(name, stable, tag, uri, revision.containers[0].image, is_new)


def withdraw(site: Site, revision: RevisionName) -> bool:
    """Take a revision that has no traffic out of what is asked for; whether it is out.

    A failed one left there would break the next deployment. What goes wrong here is not worth hiding why it has to go.
    """

    def without(state: ServiceState | None) -> tuple[TrafficTarget, ...] | None:
        return traffic_without(state, revision) if state is not None else None

    try:
        change_traffic(site, without)
        site.run.wait_until_settled(site.service, site.ready_seconds)
        state = site.read()
    except ConvergenceError:
        return False
    return state is not None and all(target.revision != revision for target in state.asked)


def change_traffic(
    site: Site, wanted: Callable[[ServiceState | None], tuple[TrafficTarget, ...] | None]
) -> bool:
    """Ask for the traffic that follows from how the service is now; None from `wanted`: leave it. Whether it was asked for.

    Raises:
        TransientError: others keep changing the service.
    """
    for _ in range(_RACES):
        state = site.read()
        targets = wanted(state)
        if state is None or targets is None:
            return False
        try:
            site.run.change_traffic(site.service, traffic_targets(targets), state.etag)
        except TransientError as error:
            if not is_stale(error):
                raise
        else:
            return True
    raise _too_many_races(site)


def _ask_until_asked(
    site: Site, template: RevisionTemplate, name: RevisionName, failed: frozenset[RevisionName]
) -> bool:
    """Ask for the revision with its tag; whether it was this call that asked for the revision."""
    is_new = False
    for _ in range(_RACES):
        state = site.read(name)
        revision = state.revision(name) if state is not None else None
        if revision is not None and revision.ready is Condition.FAILED:
            return is_new  # it is never tried again: whoever asked finds out why
        stable = stable_of(state, name, failed) if state is not None else None
        tag = choose_tag(state, name, site.specification.tags, stable)
        if revision is not None and state is not None and has_tag(state, name, tag):
            return is_new
        traffic = traffic_targets(traffic_with(state, name, tag))
        try:
            if state is None:
                site.run.create(site.service, changed_service(site.specification, template, traffic, ""))
            elif revision is None:
                changed = changed_service(site.specification, template, traffic, state.etag)
                site.run.update(site.service, changed, FIELDS)
            else:
                site.run.change_traffic(site.service, traffic, state.etag)
        except TransientError as error:
            if not is_stale(error):
                raise
            continue
        is_new = is_new or revision is None
    if is_new:
        return True
    raise _too_many_races(site)


def _cannot_serve(name: RevisionName, why: str) -> PermanentError:
    return PermanentError(
        ErrorCode.FAILED_PRECONDITION,
        f"Mend what is named here and release under another name: revision {name} cannot serve, and traffic is as it was. "
        f"Cloud Run says: {why}",
        {"revision": name},
    )


def _too_many_races(site: Site) -> TransientError:
    return TransientError(
        ErrorCode.UNAVAILABLE,
        f"Launch this again when nobody else changes {site.service}: it changed {_RACES} times meanwhile.",
    )
