"""The addresses of a Cloud Run service, its own and those of its tags: where the API is asked.

What belongs here: reading them, and what the service itself looks like to Cloud Run. What is asked there is `api.py`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from convergence_orchestration.gcp.run import CloudRun
from convergence_orchestration.health.model import Measure, ProbeName, ProbeResult
from convergence_orchestration.health.probes.looking import Finding, healthy, unhealthy
from convergence_orchestration.releases.model import Condition, ServiceState, shares_of
from convergence_orchestration.releases.template import state_of


@dataclass(frozen=True)
class Address:
    """Where the API answers.

    Attributes:
        revision: the one that a tag leads to; None for the service's own address.
        traffic_percent: of that revision.
    """

    uri: str
    revision: str | None = None
    traffic_percent: float | None = None


@dataclass
class ServiceLook:
    """One look at a service in Cloud Run, and what it left for the next ones.

    Attributes:
        found: None until Cloud Run has answered, and afterwards if there is no such service.
        was_answered: whether Cloud Run has answered.
        addresses: as Cloud Run names them.
    """

    run: CloudRun
    service: str
    found: ServiceState | None = None
    was_answered: bool = False
    addresses: tuple[Address, ...] = ()

    def ask(self) -> Sequence[Finding]:
        """Whether Cloud Run has the service, and could do what it was told last."""
        service = self.run.find_service(self.service)
        if service is not None:
            self.found = state_of(service, ())
            self.addresses = addresses_of(service.uri, self.found)
        self.was_answered = True
        return [_finding(self.service, self.found)]


def addresses_of(uri: str, state: ServiceState) -> tuple[Address, ...]:
    """The service's own address, then that of each tag; one without an address yet is left out."""
    shares = shares_of(state.serving)
    tagged = (
        Address(one.uri, one.revision, float(shares.get(one.revision, 0)))
        for one in state.serving
        if one.tag and one.uri
    )
    return (*([Address(uri)] if uri else []), *tagged)


def remembered(results: Iterable[ProbeResult], environment: str) -> tuple[Address, ...]:
    """The addresses that were asked last, for when Cloud Run cannot name them."""
    known: dict[str, Address] = {}
    for result in results:
        if result.probe is ProbeName.API_LIVE and result.environment == environment:
            percent = result.measured.get(Measure.TRAFFIC_PERCENT)
            known[result.target] = Address(result.target, result.revision, percent)
    return tuple(known.values())


def _finding(name: str, found: ServiceState | None) -> Finding:
    if found is None:
        return unhealthy(f"Release the API first, with the job `deploy_service`: there is no service {name}.")
    if found.condition is Condition.FAILED:
        return unhealthy(f"Cloud Run could not do what it was told last: {found.why or 'it says no more'}")
    return healthy("Cloud Run is carrying out a change." if not found.is_settled else "")
