from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from google.cloud.run_v2 import Service, TrafficTarget

from convergence_orchestration.errors import ErrorCode, PermanentError, TransientError
from convergence_orchestration.gcp.run import CloudRun, condition_of, is_ready, is_stale
from convergence_orchestration_tests.local_gcp.control_planes import (
    IMAGE,
    ControlPlane,
    running_control_plane,
)
from convergence_orchestration_tests.local_gcp.local_run import service_of


@pytest.fixture
def plane(tmp_path: Path) -> Iterator[ControlPlane]:
    with running_control_plane(tmp_path) as running:
        yield running


@pytest.fixture
def run(plane: ControlPlane) -> CloudRun:
    return CloudRun(
        plane.services, plane.revisions, plane.project, "us-central1", total_seconds=0.5, pause=lambda _: None
    )


def named(revision: str, percent: int) -> TrafficTarget:
    return TrafficTarget(revision=revision, percent=percent)


def test_what_is_not_there_is_none(run: CloudRun) -> None:
    assert run.find_service("api") is None
    assert run.find_revision("api", "api-1") is None


def test_a_service_is_created_once_and_its_revision_is_ready_when_the_node_says_so(
    run: CloudRun, plane: ControlPlane
) -> None:
    run.create("api", service_of(IMAGE, revision="api-one"))
    with pytest.raises(TransientError) as caught:
        run.create("api", service_of(IMAGE))
    assert is_stale(caught.value)
    with pytest.raises(TransientError, match="whether revision api-one can serve within 1 s"):
        run.wait_for_revision("api", "api-one", seconds=1)

    plane.becomes_ready(f"{run.service_name('api')}/revisions/api-one")
    plane.routes(run.service_name("api"))

    assert is_ready(run.wait_for_revision("api", "api-one", seconds=1))
    assert run.wait_until_settled("api", seconds=1).traffic_statuses[0].revision == "api-one"
    assert [one.name.rpartition("/")[2] for one in run.list_revisions("api")] == ["api-one"]
    assert run.console_url("api").endswith(f"/us-central1/api/revisions?project={plane.project}")


def test_a_revision_that_failed_is_decided_and_says_why(run: CloudRun, plane: ControlPlane) -> None:
    run.create("api", service_of(IMAGE, revision="api-one"))
    plane.fails(f"{run.service_name('api')}/revisions/api-one", "It did not listen.")

    revision = run.wait_for_revision("api", "api-one", seconds=1)

    ready = condition_of(revision)
    assert not is_ready(revision)
    assert ready is not None
    assert ready.message == "It did not listen."


def test_a_change_based_on_an_old_etag_changes_nothing(run: CloudRun, plane: ControlPlane) -> None:
    served = plane.served()
    first = served.latest_created_revision.rpartition("/")[2]
    run.change_traffic("api", [named(first, 100)], served.etag)
    changed = plane.read(served.name)

    with pytest.raises(TransientError, match="Read api again and decide anew") as caught:
        run.change_traffic("api", [named("api-other", 100)], served.etag)

    assert is_stale(caught.value)
    assert caught.value.retry_after == 0
    assert plane.read(served.name).traffic == changed.traffic


def test_a_revisions_name_that_is_taken_is_no_race(run: CloudRun, plane: ControlPlane) -> None:
    plane.served(revision="api-one")
    service = plane.read(run.service_name("api"))
    service.template.labels["other"] = "content"

    with pytest.raises(PermanentError, match="Release under another name") as caught:
        run.update("api", service, ["template"])
    assert caught.value.code is ErrorCode.ALREADY_EXISTS


def test_an_unknown_revision_in_the_traffic_is_cloud_runs_to_say(run: CloudRun, plane: ControlPlane) -> None:
    served = plane.served()
    run.change_traffic("api", [named("api-nobody", 100)], served.etag)

    settled = run.wait_until_settled("api", seconds=1)

    assert "Revision 'api-nobody' does not exist" in settled.terminal_condition.message
    assert settled.traffic_statuses == served.traffic_statuses


def test_refusals_say_what_to_do(run: CloudRun, plane: ControlPlane) -> None:
    faults = [
        {"method": "*/CreateService", "code": "PERMISSION_DENIED"},
        {"method": "*/GetService", "code": "INTERNAL"},
    ]
    (plane.data_dir / "faults.yaml").write_text(yaml.safe_dump(faults))

    with pytest.raises(PermanentError, match=r'--role="roles/run.admin"'):
        run.create("api", Service())
    with pytest.raises(TransientError, match="check that it runs") as caught:
        run.find_service("api")
    assert not is_stale(caught.value)
