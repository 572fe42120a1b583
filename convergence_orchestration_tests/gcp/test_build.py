from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import yaml
from google.cloud.devtools.cloudbuild_v1 import Build

from convergence_orchestration.errors import ErrorCode, PermanentError, TransientError
from convergence_orchestration.gcp.build import CloudBuild, Wanted, repository_of
from convergence_orchestration.local_gcp.cloud_build.builder import Builder
from convergence_orchestration_tests.local_gcp.control_planes import ControlPlane, running_control_plane
from convergence_orchestration_tests.local_gcp.local_run import tiny_tree

REPOSITORY = "us-central1-docker.pkg.dev/platform/images/api"


@pytest.fixture
def plane(tmp_path: Path) -> Iterator[ControlPlane]:
    with running_control_plane(tmp_path) as running:
        yield running


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return tiny_tree(tmp_path / "sources")


def build_at(plane: ControlPlane, pause: Callable[[float], None]) -> CloudBuild:
    return CloudBuild(plane.builds, plane.project, "us-central1", total_seconds=0.5, pause=pause)


def building(plane: ControlPlane) -> CloudBuild:
    """A Cloud Build whose node builds while the caller waits."""
    builder = Builder(plane.store, plane.data_dir, plane.clock)

    def build(_seconds: float) -> None:
        builder.build_next()

    return build_at(plane, build)


def wanted(source: str, **fields: object) -> Wanted:
    return Wanted("staging-v1", source, f"{REPOSITORY}:v1", **fields)  # type: ignore[arg-type]


def builds(plane: ControlPlane) -> list[Build]:
    return list(plane.builds.list_builds(request={"parent": plane.location}))


def test_a_tree_becomes_an_image_by_digest_and_only_once(plane: ControlPlane, tree: Path) -> None:
    one = building(plane)

    first = one.ensure_image(wanted(f"file://{tree}"))
    again = one.ensure_image(wanted(f"file://{tree}"))

    assert first.reference.startswith(f"{REPOSITORY}@sha256:")
    assert again == first
    assert [build.id for build in builds(plane)] == [first.build_id]


def test_a_build_that_was_begun_by_a_process_that_died_is_waited_for(plane: ControlPlane, tree: Path) -> None:
    class DiedError(Exception):
        pass

    def die(_seconds: float) -> None:
        raise DiedError

    with pytest.raises(DiedError):
        build_at(plane, die).ensure_image(wanted(f"file://{tree}"))
    building(plane).ensure_image(wanted(f"file://{tree}"))

    assert len(builds(plane)) == 1


def test_a_build_that_fails_says_why_and_is_begun_anew_when_asked_again(
    plane: ControlPlane, tmp_path: Path
) -> None:
    one = building(plane)
    for count in (1, 2):
        with pytest.raises(PermanentError, match="Mend the sources and release again") as caught:
            one.ensure_image(wanted(f"file://{tmp_path}/nowhere"))
        assert caught.value.code is ErrorCode.FAILED_PRECONDITION
        assert "nowhere" in caught.value.message
        assert len(builds(plane)) == count


def test_a_build_that_does_not_end_is_given_up(plane: ControlPlane, tree: Path) -> None:
    slow = build_at(plane, lambda _: None)
    with pytest.raises(TransientError, match="which does not end"):
        slow.ensure_image(wanted(f"file://{tree}", timeout=timedelta(seconds=1)))


@pytest.mark.parametrize("source", ["", "gs://bucket", "gs:///object", "file://relative", "/absolute"])
def test_a_source_of_another_form_is_refused(plane: ControlPlane, source: str) -> None:
    with pytest.raises(PermanentError, match="Name the sources as") as caught:
        building(plane).ensure_image(wanted(source))
    assert caught.value.code is ErrorCode.INVALID_ARGUMENT
    assert builds(plane) == []


def test_an_object_that_is_not_there_fails_the_build(plane: ControlPlane) -> None:
    with pytest.raises(PermanentError, match=r"api\.tar\.gz"):
        building(plane).ensure_image(wanted("gs://bucket/releases/api.tar.gz"))


def test_who_may_not_build_is_told_the_role(plane: ControlPlane, tree: Path) -> None:
    faults = [{"method": "*/CreateBuild", "code": "PERMISSION_DENIED"}]
    (plane.data_dir / "faults.yaml").write_text(yaml.safe_dump(faults))
    with pytest.raises(PermanentError, match=r"roles/cloudbuild\.builds\.editor"):
        building(plane).ensure_image(wanted(f"file://{tree}"))


def test_a_repository_is_an_image_without_tag_and_digest() -> None:
    assert repository_of("host:5000/a/b:v1") == "host:5000/a/b"
    assert repository_of("host/a/b@sha256:00") == "host/a/b"
    assert repository_of("b:v1") == "b"
