from dataclasses import replace
from datetime import UTC, datetime

from convergence_orchestration.releases.model import (
    Condition,
    EventKind,
    Percent,
    ReleaseEvent,
    ReleaseId,
    RevisionName,
    ServiceState,
    TrafficTarget,
)
from convergence_orchestration.releases.placing import (
    choose_tag,
    stable_of,
    tag_uri,
    traffic_with,
    traffic_without,
    unproven,
)
from convergence_orchestration_tests.releases.builders import NEW, NEWER, OLD, revision

TAGS = ("blue", "green", "amber")


def service(*asked: TrafficTarget, failed: tuple[RevisionName, ...] = ()) -> ServiceState:
    names = {target.revision for target in asked} | {NEW, NEWER}
    revisions = [
        revision(name, Condition.FAILED if name in failed else Condition.SUCCEEDED) for name in sorted(names)
    ]
    return ServiceState(
        "api",
        2,
        2,
        reconciling=False,
        condition=Condition.SUCCEEDED,
        asked=asked,
        serving=asked,
        revisions=tuple(revisions),
    )


def share(name: RevisionName, percent: int, tag: str = "") -> TrafficTarget:
    return TrafficTarget(name, Percent(percent), tag)


def test_a_candidate_gets_a_tag_and_no_traffic_and_nobody_elses_tag() -> None:
    now = service(share(OLD, 100), share(OLD, 0, "blue"), share(OLD, 0, "theirs"))
    tag = choose_tag(now, NEW, TAGS, OLD)
    assert tag == "green"
    assert traffic_with(now, NEW, tag) == (
        share(OLD, 100),
        share(OLD, 0, "blue"),
        share(OLD, 0, "theirs"),
        share(NEW, 0, "green"),
    )


def test_a_first_revision_gets_everything_for_cloud_run_wants_a_hundred() -> None:
    assert choose_tag(None, NEW, TAGS, None) == "blue"
    assert traffic_with(None, NEW, "blue") == (share(NEW, 100), share(NEW, 0, "blue"))


def test_a_failed_revision_is_left_out_and_its_share_goes_to_the_next() -> None:
    now = service(share(OLD, 100, "blue"), failed=(OLD,))
    assert stable_of(now, NEW) is None
    assert traffic_with(now, NEW, "green") == (share(NEW, 100), share(NEW, 0, "green"))


def test_the_tag_that_is_missed_least_is_taken_and_never_the_stable_ones() -> None:
    free = service(share(OLD, 100, "blue"))
    retired = service(share(OLD, 100, "blue"), share(NEW, 0, "green"))
    crowded = service(share(OLD, 90, "blue"), share(NEW, 10, "green"))
    assert choose_tag(free, NEWER, ("blue", "green"), OLD) == "green"
    assert choose_tag(retired, NEWER, ("blue", "green"), OLD) == "green"
    assert choose_tag(crowded, NEWER, TAGS, OLD) == "amber"
    assert choose_tag(crowded, NEWER, ("blue", "green"), OLD) == "green"
    assert choose_tag(crowded, NEW, TAGS, OLD) == "green"  # it has it
    assert traffic_with(crowded, NEWER, "green")[2:] == (share(OLD, 0, "blue"), share(NEWER, 0, "green"))


def test_the_stable_revision_has_the_most_traffic_and_proved_itself() -> None:
    now = service(share(OLD, 50), share(NEW, 50))
    assert stable_of(service(share(OLD, 90), share(NEW, 10)), NEWER) == OLD
    assert stable_of(now, NEW) == OLD
    assert stable_of(now, NEWER, {OLD}) == NEW


def test_a_share_that_a_person_gave_the_candidate_stays_its_own() -> None:
    now = service(share(OLD, 90), share(NEW, 10))
    assert traffic_with(now, NEW, "blue") == (share(OLD, 90), share(NEW, 10), share(NEW, 0, "blue"))


def test_a_candidate_is_taken_out_unless_it_has_a_share() -> None:
    tagged = service(share(OLD, 100), share(NEW, 0, "green"))
    assert traffic_without(tagged, NEW) == (share(OLD, 100),)
    assert traffic_without(tagged, NEWER) is None
    assert traffic_without(service(share(NEW, 100, "blue")), NEW) is None


def test_unproven_is_who_was_made_and_never_handed_over() -> None:
    def event(kind: EventKind, name: RevisionName | None) -> ReleaseEvent:
        return ReleaseEvent(
            kind, ReleaseId("v1"), "staging", "api", kind, datetime(2026, 1, 1, tzinfo=UTC), name
        )

    events = [
        event(EventKind.DEPLOYED, OLD),
        event(EventKind.HANDED_OVER, OLD),
        event(EventKind.FAILED, NEW),
        event(EventKind.FAILED, None),
        event(EventKind.DEPLOYED, NEWER),
    ]
    assert unproven(events) == {NEW, NEWER}


def test_a_tags_address_is_what_cloud_run_says() -> None:
    serving = (TrafficTarget(OLD, Percent(100)), TrafficTarget(OLD, Percent(0), "blue", "https://blue---api"))
    assert tag_uri(replace(service(), serving=serving), OLD) == "https://blue---api"
    assert tag_uri(service(), NEW) == ""
