import shutil
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud.devtools.cloudbuild_v1 import Build

from convergence_orchestration.local_gcp import images
from convergence_orchestration.local_gcp.cloud_build import queue
from convergence_orchestration.local_gcp.cloud_build.builder import Builder, log_file
from convergence_orchestration.local_gcp.cloud_build.source import dockerfile_command
from convergence_orchestration_tests.local_gcp.control_planes import ControlPlane
from convergence_orchestration_tests.local_gcp.local_run import build_of, tiny_tree

_IMAGE = "us-central1-docker.pkg.dev/platform/images/tiny"


def _built(plane: ControlPlane, build: Build) -> Build:
    """The build, carried out."""
    asked: Any = plane.builds.create_build(project_id=plane.project, build=build)
    assert Builder(plane.store, plane.data_dir, plane.clock).build_next()
    return plane.builds.get_build(request={"name": asked.metadata.build.name})


def _digest(plane: ControlPlane, reference: str) -> str | None:
    with plane.store.reading() as rows:
        return images.digest_of(rows, plane.data_dir, reference)


def test_a_tree_becomes_an_image_that_its_tag_and_its_digest_name(
    plane: ControlPlane, tmp_path: Path
) -> None:
    asked = build_of(
        tiny_tree(tmp_path / "tree"), f"{_IMAGE}:1", _IMAGE, substitutions={"COMMIT_SHA": "abc123"}
    )
    operation: Any = plane.builds.create_build(project_id=plane.project, build=asked)
    name = operation.metadata.build.name
    assert plane.builds.get_build(request={"name": name}).status == Build.Status.QUEUED

    assert Builder(plane.store, plane.data_dir, plane.clock).build_next()

    built = operation.result()
    assert built.status == Build.Status.SUCCESS
    digest = built.results.images[0].digest
    assert [image.name for image in built.results.images] == [f"{_IMAGE}:1", f"{_IMAGE}:latest"]
    assert (
        _digest(plane, f"{_IMAGE}:1")
        == _digest(plane, _IMAGE)
        == _digest(plane, f"{_IMAGE}@{digest}")
        == digest
    )
    assert _digest(plane, f"{_IMAGE}:2") is None
    assert _digest(plane, f"{_IMAGE}@sha256:{'0' * 64}") is None
    manifest = images.read_manifest(plane.data_dir, digest)
    assert manifest is not None
    assert (manifest.command, manifest.source_revision) == (("python", "-m", "tiny"), "abc123")
    assert (images.root_of(plane.data_dir, digest) / "tiny" / "__main__.py").is_file()
    assert not Builder(plane.store, plane.data_dir, plane.clock).build_next()


def test_the_same_source_gives_the_same_digest_and_another_one_another(
    plane: ControlPlane, tmp_path: Path
) -> None:
    one = _built(plane, build_of(tiny_tree(tmp_path / "one"), f"{_IMAGE}:1"))
    same = _built(plane, build_of(tiny_tree(tmp_path / "same"), f"{_IMAGE}:2"))
    with tarfile.open(_bucket(plane) / "same.tgz", "w:gz") as archive:
        archive.add(tmp_path / "same", ".")
    packed = _built(plane, _of_object("same.tgz"))
    shutil.make_archive(str(_bucket(plane) / "red"), "zip", tiny_tree(tmp_path / "red", "red"))
    other = _built(plane, _of_object("red.zip"))

    digests = [build.results.images[0].digest for build in (one, same, packed, other)]
    assert digests[0] == digests[1] == digests[2] != digests[3]
    kept = {path.name for path in (plane.data_dir / "images" / "sha256").iterdir()}
    assert {digest.removeprefix("sha256:") for digest in digests} <= kept


def _bucket(plane: ControlPlane) -> Path:
    directory = plane.data_dir / "buckets" / "sources"
    directory.mkdir(parents=True, exist_ok=True)
    return directory


def _of_object(name: str) -> Build:
    source = {"storage_source": {"bucket": "sources", "object_": name}}
    return build_of(Path("/"), f"{_IMAGE}:1", source=source)


def test_a_broken_source_fails_with_the_last_lines_of_its_log(plane: ControlPlane, tmp_path: Path) -> None:
    tree = tiny_tree(tmp_path / "tree")
    (tree / "pyproject.toml").write_text("[project]\nname = 'tiny'\n")

    operation: Any = plane.builds.create_build(project_id=plane.project, build=build_of(tree, _IMAGE))
    Builder(plane.store, plane.data_dir, plane.clock).build_next()

    with pytest.raises(exceptions.Unknown, match="Build failed; check build logs for details"):
        operation.result()
    (failed,) = plane.builds.list_builds(project_id=plane.project)
    assert failed.status == Build.Status.FAILURE
    assert "version" in failed.failure_info.detail  # hatchling's own words
    assert failed.failure_info.detail.endswith("ERROR: hatchling ended with status 1")
    assert "version" in log_file(plane.data_dir, failed.id).read_text()
    assert _digest(plane, _IMAGE) is None
    assert not list((plane.data_dir / "images").glob("unfinished-*"))


def test_a_source_that_is_not_there_fails(plane: ControlPlane, tmp_path: Path) -> None:
    (_bucket(plane) / "none.zip").write_text("no archive")

    failures = [
        _built(plane, build_of(tmp_path / "nothing", _IMAGE)),
        _built(plane, _of_object("nothing.tgz")),
        _built(plane, _of_object("none.zip")),
        _built(
            plane,
            build_of(
                tiny_tree(tmp_path / "tree"), _IMAGE, steps=[{"name": "d", "args": ["-f", "Dockerfile.no"]}]
            ),
        ),
    ]

    assert {failure.status for failure in failures} == {Build.Status.FAILURE}
    assert "cannot be read" in failures[0].status_detail
    assert "unable to evaluate Dockerfile Dockerfile.no" in failures[3].status_detail


def test_a_build_that_takes_too_long_is_a_timeout(plane: ControlPlane, tmp_path: Path) -> None:
    build = _built(plane, build_of(tiny_tree(tmp_path / "tree"), _IMAGE, timeout="0.01s"))

    assert build.status == Build.Status.TIMEOUT


def test_a_cancelled_build_stays_cancelled_and_makes_no_image(plane: ControlPlane, tmp_path: Path) -> None:
    asked: Any = plane.builds.create_build(
        project_id=plane.project, build=build_of(tiny_tree(tmp_path / "tree"), _IMAGE)
    )
    build = asked.metadata.build

    with plane.store.writing() as rows:
        queue.start(rows, build.name, plane.clock())
    cancelled = plane.builds.cancel_build(project_id=plane.project, id=build.id)

    assert cancelled.status == Build.Status.CANCELLED
    with pytest.raises(exceptions.Cancelled):
        asked.result()
    assert not Builder(plane.store, plane.data_dir, plane.clock).build_next()
    with plane.store.writing() as rows:
        queue.start(rows, build.name, plane.clock())  # of a builder that took it before
        queue.succeed(rows, build.name, [], plane.clock())
        assert rows.get(Build, build.name) == cancelled
    with pytest.raises(exceptions.FailedPrecondition, match="has ended with CANCELLED"):
        plane.builds.cancel_build(project_id=plane.project, id=build.id)


def test_a_builder_begins_again_what_another_died_of(plane: ControlPlane, tmp_path: Path) -> None:
    asked: Any = plane.builds.create_build(
        project_id=plane.project, build=build_of(tiny_tree(tmp_path / "tree"), _IMAGE)
    )
    with plane.store.writing() as rows:
        queue.start(rows, asked.metadata.build.name, plane.clock())
    (plane.data_dir / "images" / "unfinished-1").mkdir()

    assert Builder(plane.store, plane.data_dir, plane.clock).build_next()

    assert asked.result().status == Build.Status.SUCCESS
    assert not list((plane.data_dir / "images").glob("unfinished-*"))


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"steps": []}, "at least one step"),
        ({"images": []}, "must name the image"),
        ({"source": {"storage_source": {"bucket": "b"}}}, "bucket and an object"),
        ({"source": {"storage_source": {"bucket": "..", "object_": "key"}}}, "lead out of its bucket"),
        ({"timeout": "90000s"}, "at most 24 hours"),
    ],
)
def test_a_build_that_cannot_be_is_refused(plane: ControlPlane, fields: dict[str, Any], problem: str) -> None:
    with pytest.raises(exceptions.InvalidArgument, match=problem):
        plane.builds.create_build(project_id=plane.project, build=build_of(Path("/tree"), _IMAGE, **fields))


def test_a_build_of_a_git_repository_is_not_served(plane: ControlPlane) -> None:
    source = {"git_source": {"url": "https://example.com/repo"}}
    with pytest.raises(exceptions.MethodNotImplemented):
        plane.builds.create_build(project_id=plane.project, build=build_of(Path("/t"), _IMAGE, source=source))


def test_an_unknown_build_is_not_found(plane: ControlPlane) -> None:
    with pytest.raises(exceptions.NotFound):
        plane.builds.get_build(project_id=plane.project, id="00000000-0000-0000-0000-000000000000")


@pytest.mark.parametrize(
    ("text", "command"),
    [
        ('FROM a\nCMD ["python", "-m", "x"]', ("python", "-m", "x")),
        ("FROM a\nCMD exec uvicorn --port $PORT", ("/bin/sh", "-c", "exec uvicorn --port $PORT")),
        ('ENTRYPOINT ["a"]\nCMD ["b", \\\n "c"]', ("a", "b", "c")),
        ('FROM a\nCMD ["old"]\nFROM b\nRUN true', ()),
        ('CMD "text"', ("/bin/sh", "-c", '"text"')),
    ],
)
def test_a_dockerfile_says_what_starts_the_image(text: str, command: tuple[str, ...]) -> None:
    assert dockerfile_command(text) == command


def test_references_have_a_repository() -> None:
    assert images.repository_of("localhost:5000/a/b:1") == "localhost:5000/a/b"
    assert images.with_digest("a/b:1", "sha256:0") == "a/b@sha256:0"


def test_an_archive_cannot_write_outside(plane: ControlPlane) -> None:
    with zipfile.ZipFile(_bucket(plane) / "evil.zip", "w") as archive:
        archive.writestr("../../evil.txt", "evil")

    assert _built(plane, _of_object("evil.zip")).status == Build.Status.FAILURE
    assert not list(plane.data_dir.rglob("evil.txt"))
