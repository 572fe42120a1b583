from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.releases.checklist.gate import sign, suite_event
from convergence_orchestration.releases.checklist.items import Item
from convergence_orchestration.releases.checklist.load_testing import load_test
from convergence_orchestration.releases.model import EventKind, TrafficTarget
from convergence_orchestration.releases.revisions import change_traffic
from convergence_orchestration.releases.rollout_section import RolloutSection, Targets
from convergence_orchestration_tests.releases.cloud import Works

PATIENT = RolloutSection(targets=Targets(p95_ms=5000, p99_ms=5000))


def wanting(works: Works, *items: Item) -> Works:
    specification = works.site.specification.model_copy(update={"checklist": items, "rollout": PATIENT})
    return replace(works, site=replace(works.site, specification=specification))


def test_a_release_passes_when_each_of_the_six_items_is_met(works: Works, tmp_path: Path) -> None:
    source = works.own_source(tmp_path)
    works.deploy("v1", source=source)  # in staging, as it were; production is the same service here
    image = works.deployment("v1", source=source).image().reference
    strict = wanting(works, *Item)
    asked = {"source": "", "image": image}
    strict.backup_at = None

    with pytest.raises(PermanentError) as caught:
        strict.deployment("v2", **asked).begin()
    assert caught.value.code is ErrorCode.FAILED_PRECONDITION
    assert caught.value.details["open"] == [item.value for item in Item if item is not Item.ROLLBACK_TARGET]
    assert "- backup: There is no backup. Launch the job backup_control_plane." in caught.value.message

    site = strict.site
    staging = replace(strict.order("v1"), environment="staging")
    site.events.append(suite_event(staging, site.clock(), image, passed=9, failed=0))
    result, problems = load_test(site, strict.order("v1"), rate=20, seconds=0.5, path="/health")
    strict.backup_at = datetime.now(UTC) - timedelta(hours=1)
    sign(site, strict.order("v2"), Item.SECURITY_REVIEW, "Ana", "Looked at the changes.")
    with pytest.raises(PermanentError, match="on_call: Nobody on call has acknowledged"):
        strict.deployment("v2", **asked).begin()

    waived = strict.deployment("v2", **asked, overrides={Item.ON_CALL: "An outage."})
    assert waived.begin() == tuple(Item)
    assert strict.deployment("v2", **asked).begin() == tuple(Item)  # it is waived for this release

    assert (result.requests, result.errors, problems) == (10, 0, ())
    actions = [entry.action for entry in works.audit.entries]
    assert actions == ["release.signed", "release.overridden"]
    assert works.audit.entries[1].details["reason"] == "An outage."
    kinds = [event.kind for event in site.events.of_service(site.environment, site.service)]
    assert kinds.count(EventKind.OVERRIDDEN) == 1


def test_items_about_the_image_are_asked_for_when_it_is_built(works: Works, tmp_path: Path) -> None:
    strict = wanting(works, Item.LOAD_TEST)
    one = strict.deployment("v1", source=works.own_source(tmp_path))
    assert one.begin() == ()
    with pytest.raises(PermanentError, match="load_test: This image was not load-tested"):
        one.image()
    assert one.progress().image is not None


def test_a_rollback_target_without_a_tag_stops_a_release(works: Works) -> None:
    strict = wanting(works, Item.ROLLBACK_TARGET)
    assert strict.deployment("v1").begin() == (Item.ROLLBACK_TARGET,)  # nothing to roll back to
    first = strict.deploy("v1")

    change_traffic(
        strict.site,
        lambda state: tuple(replace(one, tag="") for one in state.asked if one.percent) if state else None,
    )
    strict.site.run.wait_until_settled(strict.service, 30)
    with pytest.raises(PermanentError, match=f"{first} serves and has no tag to ask it on"):
        strict.deployment("v2").begin()

    change_traffic(
        strict.site,
        lambda state: (*state.asked, TrafficTarget(state.asked[0].revision, tag="theirs")) if state else None,
    )
    strict.site.run.wait_until_settled(strict.service, 30)
    assert strict.deployment("v2").begin() == (Item.ROLLBACK_TARGET,)


def test_nobody_signs_what_has_to_be_done_or_without_a_name(works: Works) -> None:
    order = works.order()
    with pytest.raises(PermanentError, match="Sign on_call or security_review"):
        sign(works.site, order, Item.BACKUP, "Ana", "")
    with pytest.raises(PermanentError, match="Give the name of whoever signs"):
        sign(works.site, order, Item.ON_CALL, " ", "")
    assert works.audit.entries == []


def test_what_is_not_on_the_list_cannot_be_waived(works: Works) -> None:
    with pytest.raises(PermanentError, match="backup is not on it"):
        works.deployment(overrides={Item.BACKUP: "No time."}).begin()


def test_a_release_that_is_not_there_cannot_be_load_tested(works: Works) -> None:
    with pytest.raises(PermanentError, match="Deploy release v9 to development first") as caught:
        load_test(works.site, works.order("v9"), 10, 1, "/health")
    assert caught.value.code is ErrorCode.NOT_FOUND
