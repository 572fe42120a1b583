"""What the node keeps small: the logs of instances, and the images that nobody needs any more."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from google.cloud.run_v2 import Revision, Service

from convergence_orchestration.local_gcp import images
from convergence_orchestration.local_gcp.cloud_run import conditions
from convergence_orchestration.local_gcp.images import Manifest
from convergence_orchestration.local_gcp.node.records import Instance, Records
from convergence_orchestration.local_gcp.node.upkeep import Upkeep, bound_logs, prune_images
from convergence_orchestration.local_gcp.store import Store

_NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
_SERVICE = "projects/platform/locations/us-central1/services/api"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path)
    yield store
    store.close()


def _digest(number: int) -> str:
    return f"sha256:{number:064x}"


def _build(data_dir: Path, number: int) -> None:
    directory = images.directory_of(data_dir, _digest(number))
    directory.mkdir(parents=True)
    images.write_manifest(directory, Manifest(_digest(number), (), "", ""))
    os.utime(directory, (number, number))


def _revision(number: int, *, is_ready: bool = True) -> Revision:
    revision = Revision(
        name=f"{_SERVICE}/revisions/api-{number}", containers=[{"image": f"a/b@{_digest(number)}"}]
    )
    if is_ready:
        conditions.put(revision, conditions.succeeded(conditions.READY), _NOW)
    return revision


def test_images_that_a_revision_with_traffic_or_a_tag_names_stay_and_so_do_the_newest(
    store: Store, tmp_path: Path
) -> None:
    for number in range(1, 9):
        _build(tmp_path, number)
    service = Service(
        name=_SERVICE,
        traffic=[{"revision": "api-1", "percent": 100}],
        traffic_statuses=[{"revision": "api-1", "percent": 100}, {"revision": "api-2", "tag": "blue"}],
        latest_created_revision=f"{_SERVICE}/revisions/api-3",
    )
    with store.writing() as rows:
        rows.insert(_SERVICE, "", service)
        for revision in (*map(_revision, range(1, 6)), _revision(6, is_ready=False)):
            rows.insert(revision.name, _SERVICE, revision)
    images.built_again(tmp_path, _digest(4))

    removed = prune_images(store, tmp_path, kept=2)  # 4, which was built again, and 8

    assert sorted(removed) == [_digest(5), _digest(7)]
    assert sorted(images.newest_first(tmp_path)) == [_digest(number) for number in (1, 2, 3, 4, 6, 8)]
    assert images.read_manifest(tmp_path, _digest(5)) is None
    assert prune_images(store, tmp_path, kept=6) == []


def test_a_long_log_is_begun_anew_and_whoever_writes_to_it_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "api-1.log"
    with path.open("ab", buffering=0) as written_by_the_instance:
        written_by_the_instance.write(b"x" * 100 + b"\n")
        bound_logs(tmp_path, {"api-1"}, max_bytes=100)
        written_by_the_instance.write(b"new\n")

    assert path.read_bytes() == b"new\n"
    assert path.with_name("api-1.log.1").read_bytes() == b"x" * 100 + b"\n"


def test_the_oldest_logs_go_but_for_those_of_revisions_that_run(store: Store, tmp_path: Path) -> None:
    logs = tmp_path / "instance-logs"
    logs.mkdir()
    for number in range(60):
        path = logs / f"api-{number}.log"
        path.touch()
        os.utime(path, (number, number))
    (logs / "api-0.log.1").touch()
    records = Records(tmp_path)
    for number in (1, 2):
        name = f"{_SERVICE}/revisions/api-{number}"
        records.write(Instance(str(number), name, 80, 0, 0, 1))
    (tmp_path / "images" / "sha256").mkdir(parents=True)

    Upkeep(store, tmp_path).round()

    left = {path.name for path in logs.iterdir()}
    assert left == {"api-1.log", "api-2.log", *(f"api-{number}.log" for number in range(10, 60))}
