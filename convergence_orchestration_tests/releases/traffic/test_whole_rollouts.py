"""Whole rollouts on the local cloud's real processes, with clients that ask all the time."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from convergence_orchestration.releases.model import WHOLE, EventKind, RevisionName, TrafficTarget
from convergence_orchestration.releases.template import traffic_targets
from convergence_orchestration.settings import Settings
from convergence_orchestration_tests.releases.cloud import RunCloud, Works, works_at
from convergence_orchestration_tests.releases.traffic.driving import Dagster, asking, happened, working_tree

_QUICK = {
    "bake_seconds": 5,
    "targets": {"error_percent": 1.0, "availability_percent": 99, "p95_ms": 2000, "p99_ms": 5000},
    "judge": {"bad_error_percent": 10, "minimum_requests": 40, "least_share": 0.5},
}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"file://{working_tree(tmp_path_factory.mktemp('trees') / 'working')}"


@pytest.fixture
def works(run_cloud: RunCloud, project: Settings) -> Iterator[Works]:
    with works_at(run_cloud, project, rollout={}) as one:
        yield one


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.local_temp(str(tmp_path)) as one:
        yield one


def _first_release(dagster: Dagster, works: Works, source: str) -> str:
    revision = works.deploy("v1", source=source)
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
    works: Works, source: str, instance: dg.DagsterInstance
) -> None:
    dagster = _dagster(works, instance, _QUICK)
    _first_release(dagster, works, source)
    candidate = works.behaving("good").deploy("v2", source=source)
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
    assert answers.failed == 0
    assert answers.counts[200] > 500


def test_a_bad_release_is_rolled_back_within_seconds_of_its_first_error(
    works: Works, source: str, instance: dg.DagsterInstance
) -> None:
    dagster = _dagster(works, instance, {})
    stable = _first_release(dagster, works, source)
    works.behaving("errors").deploy("v2", source=source)

    with asking(works, 100) as answers:
        events = dagster.until(happened(EventKind.STOPPED), 60)

    (rolled_back,) = [event for event in events if event.kind is EventKind.ROLLED_BACK]
    (stopped,) = [event for event in events if event.kind is EventKind.STOPPED]
    took = stopped.recorded_at.timestamp() - answers.errors[0]
    assert took < 10
    assert answers.errors[-1] < stopped.recorded_at.timestamp()
    assert dagster.shares() == {RevisionName(stable): 100}
    assert rolled_back.evidence["errors"]


def test_a_cloud_run_that_refuses_and_hands_from_outside_leave_the_traffic_known(
    works: Works, source: str, instance: dg.DagsterInstance
) -> None:
    dagster = _dagster(works, instance, _QUICK)
    stable = _first_release(dagster, works, source)
    candidate = works.behaving("good").deploy("v2", source=source)

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
