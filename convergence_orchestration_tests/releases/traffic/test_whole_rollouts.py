"""Whole rollouts on the local cloud's real processes, with clients that ask all the time."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from google.cloud.run_v2 import TrafficTarget as GoogleTarget
from google.cloud.run_v2 import TrafficTargetAllocationType

from convergence_orchestration.gcp.build import Wanted
from convergence_orchestration.releases.model import (
    WHOLE,
    EventKind,
    ReleaseId,
    RevisionName,
    TrafficTarget,
    shares_of,
)
from convergence_orchestration.releases.template import changed_service, revision_template, traffic_targets
from convergence_orchestration.settings import Settings
from convergence_orchestration_tests.releases.cloud import RunCloud, Works, small_tree, works_at
from convergence_orchestration_tests.releases.traffic.clients import asking
from convergence_orchestration_tests.releases.traffic.driving import Dagster, happened
from convergence_orchestration_tests.releases.traffic.patient import PATIENT

_QUICK = {"bake_seconds": 5, **PATIENT}


@pytest.fixture
def works(run_cloud: RunCloud, project: Settings) -> Iterator[Works]:
    with works_at(run_cloud, project, rollout={}) as one:
        yield one


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.local_temp(str(tmp_path)) as one:
        yield one


def _first_release(dagster: Dagster, works: Works) -> str:
    revision = works.deploy("v1")
    dagster.until(happened(EventKind.STAGE_VERIFIED), 20)
    dagster.launch("promote_release", "promote_rollout", reason="the first revision")
    assert happened(EventKind.FINISHED)(dagster.events())
    dagster.forget()
    return revision


def _dagster(works: Works, instance: dg.DagsterInstance, rollout: dict[str, Any]) -> Dagster:
    specification = works.site.specification.model_validate(
        {**works.site.specification.model_dump(), "rollout": rollout}
    )
    return Dagster(works, specification, instance)


def test_a_good_release_goes_to_everybody_without_a_failed_request(
    works: Works, instance: dg.DagsterInstance
) -> None:
    dagster = _dagster(works, instance, _QUICK)
    _first_release(dagster, works)
    candidate = works.behaving("good").deploy("v2")
    with asking(works, 100) as answers:
        events = dagster.until(
            lambda events: any(
                event.kind is EventKind.FINISHED and event.release_id == "v2" for event in events
            ),
            80,
        )

    stages = [
        event.traffic_percent
        for event in events
        if event.kind is EventKind.STAGE_VERIFIED and event.release_id == "v2"
    ]
    assert stages == [10, 50, 100]
    assert dagster.shares() == {RevisionName(candidate): 100}
    assert answers.failed == []
    assert answers.counts[200] > 500


def test_a_cloud_run_that_refuses_and_hands_from_outside_leave_the_traffic_known(
    works: Works, instance: dg.DagsterInstance
) -> None:
    dagster = _dagster(works, instance, _QUICK)
    stable = _first_release(dagster, works)
    candidate = works.behaving("good").deploy("v2")

    works.cloud.faults_file.write_text("- {method: google.cloud.run.v2.Services/UpdateService, code: 500}")
    try:
        dagster.tick()
    finally:
        works.cloud.faults_file.unlink()
    assert dagster.failures == 1
    assert dagster.shares() == {RevisionName(stable): 100}
    asked = [event for event in dagster.events() if event.kind is EventKind.TRAFFIC_ASKED]
    assert asked[-1].traffic_percent == 10

    dagster.until(lambda _: dagster.shares() == {RevisionName(stable): 90, RevisionName(candidate): 10}, 30)

    state = works.site.read()
    assert state is not None
    targets = (TrafficTarget(RevisionName(candidate), WHOLE), *(one for one in state.asked if one.tag))
    works.site.run.change_traffic(works.service, traffic_targets(targets), state.etag)
    dagster.until(happened(EventKind.OUTSIDE_CHANGE), 20)
    dagster.tick()
    assert dagster.shares() == {RevisionName(candidate): 100}

    dagster.launch("rollback_service", "roll_back", reason="not by hand")

    assert dagster.shares() == {RevisionName(stable): 100}
    assert dagster.events()[-1].kind is EventKind.STOPPED
    page = Path(instance.root_directory) / "reports" / works.site.environment / "v2.html"
    assert "Somebody else moved the traffic" in page.read_text()


def test_a_revision_from_before_this_platform_is_stable_and_gets_its_traffic_back(
    works: Works, instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    stable = _deployed_by_somebody_else(works)
    dagster = _dagster(works, instance, {})
    works.deploy("v1", source=f"file://{small_tree(tmp_path / 'tree', 'errors')}")
    assert dagster.events()[-1].stable_revision == stable

    with asking(works, 100):
        dagster.until(happened(EventKind.STOPPED), 60)

    assert dagster.shares() == {stable: 100}


def _deployed_by_somebody_else(works: Works) -> RevisionName:
    """A service as `gcloud run deploy` makes it: without a tag, all traffic to the latest revision, and no event of ours."""
    site = works.site
    wanted = Wanted("elsewhere", works.cloud.source, f"a-docker.pkg.dev/b/c/{works.service}:1")
    image = site.build.ensure_image(wanted).reference
    template = revision_template(site.specification, site.settings, image, ReleaseId("elsewhere"))
    template.revision = ""
    latest = TrafficTargetAllocationType.TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST
    everything = [GoogleTarget(type_=latest, percent=100)]
    site.run.create(works.service, changed_service(site.specification, template, everything, ""))
    site.run.wait_until_settled(works.service, 60)
    state = site.read()
    assert state is not None
    (revision,) = shares_of(state.serving)
    return revision
