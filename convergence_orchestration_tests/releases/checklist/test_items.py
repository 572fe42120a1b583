from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from convergence_orchestration.releases.checklist.gate import checked, suite_event
from convergence_orchestration.releases.checklist.items import Checklist, Item, open_items
from convergence_orchestration.releases.model import EventKind, ReleaseEvent, ReleaseId
from convergence_orchestration.releases.order import Order

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
IMAGE = "registry/api@sha256:" + "a" * 64
ORDER = Order(ReleaseId("v1"), "production", "convergence-api-prod", image=IMAGE, actor="ana")
STAGING = replace(ORDER, environment="staging", service="convergence-api-staging")
ALL = Checklist(tuple(Item), ReleaseId("v1"), "production", IMAGE)
BACKUP = {"taken_at": (NOW - timedelta(hours=1)).isoformat()}


def met(item: Item, order: Order = ORDER, at: datetime = NOW, **fields: object) -> ReleaseEvent:
    return checked(order, at, item, "Seen.", met=True, **fields)  # type: ignore[arg-type]


def everything() -> list[ReleaseEvent]:
    return [
        suite_event(STAGING, NOW, IMAGE, passed=9, failed=0),
        met(Item.LOAD_TEST, STAGING, image=IMAGE),
        met(Item.SECURITY_REVIEW),
        met(Item.ON_CALL),
        met(Item.BACKUP, numbers=BACKUP),
        met(Item.ROLLBACK_TARGET),
    ]


def still_open(*events: ReleaseEvent, checklist: Checklist = ALL, now: datetime = NOW) -> list[Item]:
    return [each.item for each in open_items(checklist, events, now)]


def test_without_events_everything_is_open_and_each_item_says_how_to_meet_it() -> None:
    found = open_items(ALL, (), NOW)
    assert [each.item for each in found] == list(Item)
    assert all(each.why and each.how for each in found)
    assert "sign_release_item with environment production, release v1, item on_call" in str(found[3])


def test_nothing_is_open_when_each_item_is_met() -> None:
    assert still_open(*everything()) == []


@pytest.mark.parametrize("item", [Item.SECURITY_REVIEW, Item.ON_CALL])
def test_a_signature_counts_for_one_release_in_one_environment(item: Item) -> None:
    others = [event for event in everything() if event.evidence["item"] != item]
    assert still_open(*others, met(item, replace(ORDER, release_id=ReleaseId("v2")))) == [item]
    assert still_open(*others, met(item, STAGING)) == [item]
    withdrawn = checked(ORDER, NOW + timedelta(seconds=1), item, "Withdrawn.", met=False)
    assert still_open(*everything(), withdrawn) == [item]


def test_suites_and_load_tests_count_for_their_image_wherever_it_lies_and_not_for_ever() -> None:
    other = "registry/api@sha256:" + "b" * 64
    mirrored = replace(ALL, image=IMAGE.replace("registry", "mirror"))
    assert still_open(*everything(), checklist=mirrored) == []
    assert still_open(*everything(), checklist=replace(ALL, image=other)) == [
        Item.STAGING_SUITE,
        Item.LOAD_TEST,
    ]
    later = still_open(*everything(), now=NOW + timedelta(days=31))
    assert {Item.STAGING_SUITE, Item.LOAD_TEST} <= set(later)


def test_a_suite_that_failed_or_ran_elsewhere_is_none() -> None:
    only = replace(ALL, items=(Item.STAGING_SUITE,))
    assert still_open(suite_event(STAGING, NOW, IMAGE, passed=8, failed=1), checklist=only) == only_item(only)
    assert still_open(suite_event(STAGING, NOW, IMAGE, passed=0, failed=0), checklist=only) == only_item(only)
    assert still_open(suite_event(ORDER, NOW, IMAGE, passed=9, failed=0), checklist=only) == only_item(only)


def only_item(checklist: Checklist) -> list[Item]:
    return list(checklist.items)


def test_a_backup_exactly_as_old_as_allowed_is_young_enough() -> None:
    only = replace(ALL, items=(Item.BACKUP,))
    taken_at = {"taken_at": (NOW - timedelta(hours=24)).isoformat()}
    backup = met(Item.BACKUP, numbers=taken_at)
    assert still_open(backup, checklist=only) == []
    assert still_open(backup, checklist=only, now=NOW + timedelta(seconds=1)) == [Item.BACKUP]


def test_a_rollback_target_that_answered_long_ago_may_be_gone() -> None:
    only = replace(ALL, items=(Item.ROLLBACK_TARGET,))
    assert still_open(met(Item.ROLLBACK_TARGET), checklist=only, now=NOW + timedelta(minutes=11)) == list(
        only.items
    )


def test_what_is_waived_for_this_release_is_not_open() -> None:
    waiver = ORDER.event(
        EventKind.OVERRIDDEN, NOW, "on_call", evidence={"item": "on_call"}, reason="An outage."
    )
    assert Item.ON_CALL not in still_open(waiver)
    assert Item.ON_CALL in still_open(replace(waiver, environment="staging"))


def test_before_the_image_is_known_only_the_rest_is_asked_for() -> None:
    assert still_open(*everything()[2:], checklist=replace(ALL, image=None).before_the_image()) == []
