from convergence_orchestration.releases.model import EventKind, Percent, shares_of
from convergence_orchestration_tests.releases.cloud import Works


def kinds(works: Works, release: str = "v1") -> list[EventKind]:
    order = works.order(release)
    events = works.site.events.of_release(order.environment, order.release_id)
    return [event.kind for event in events]


def test_a_first_deployment_serves_everybody_and_the_next_one_nobody(works: Works) -> None:
    first = works.deploy("v1")
    second = works.deploy("v2")

    state = works.site.read()
    assert state is not None
    assert state.serves({first: Percent(100)})  # type: ignore[dict-item]
    assert {target.tag: target.revision for target in state.serving if target.tag} == {
        "blue": first,
        "green": second,
    }
    assert shares_of(state.asked) == {first: 100}
    assert kinds(works, "v2") == [
        EventKind.STARTED,
        EventKind.BUILT,
        EventKind.DEPLOYED,
        EventKind.HANDED_OVER,
    ]
    handed_over = works.deployment("v2").progress().handed_over
    assert handed_over is not None
    assert (handed_over.revision, handed_over.stable_revision) == (second, first)
