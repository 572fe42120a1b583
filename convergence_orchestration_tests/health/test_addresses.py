from convergence_orchestration.health.model import Measure, ProbeName
from convergence_orchestration.health.probes.addresses import Address, addresses_of, remembered
from convergence_orchestration.releases.model import (
    Condition,
    Percent,
    RevisionName,
    ServiceState,
    TrafficTarget,
)
from convergence_orchestration_tests.health.builders import result


def target(revision: str, percent: int = 0, tag: str = "") -> TrafficTarget:
    uri = f"https://{tag}---api.example" if tag else ""
    return TrafficTarget(RevisionName(revision), Percent(percent), tag, uri)


def state(*serving: TrafficTarget) -> ServiceState:
    return ServiceState(
        "api", 1, 1, reconciling=False, condition=Condition.SUCCEEDED, asked=(), serving=serving, revisions=()
    )


def test_a_tags_address_has_the_share_of_its_revision_whoever_gives_it() -> None:
    serving = state(
        target("api-1", 90),
        target("api-2", 10, "blue"),
        target("api-1", 0, "green"),
        target("api-0", 0, "amber"),
    )
    assert addresses_of("https://api.example", serving) == (
        Address("https://api.example"),
        Address("https://blue---api.example", "api-2", 10.0),
        Address("https://green---api.example", "api-1", 90.0),
        Address("https://amber---api.example", "api-0", 0.0),
    )
    assert addresses_of("", state(target("api-1", 100))) == ()


def test_the_addresses_that_were_asked_last_are_remembered_as_they_were() -> None:
    before = [
        result(target="https://a", measured={Measure.TRAFFIC_PERCENT: 5.0}, revision="api-1"),
        result(target="https://a", measured={Measure.TRAFFIC_PERCENT: 50.0}, revision="api-2"),
        result(target="https://b"),
        result(target="https://b", probe=ProbeName.TLS),
        result(target="https://c", environment="staging"),
    ]
    assert remembered(before, "development") == (Address("https://a", "api-2", 50.0), Address("https://b"))
