from pathlib import Path

from convergence_orchestration.local_gcp.front_door_contract import (
    FrontDoorStatus,
    RoutedInstance,
    RoutedRevision,
    RoutedService,
    Routes,
    host_of,
    read_routes,
    read_status,
    write_routes,
    write_status,
)


def test_routes_are_read_as_they_were_written(tmp_path: Path) -> None:
    instances = (RoutedInstance("127.0.0.1", 40001), RoutedInstance("127.0.0.1", 40002))
    stable = RoutedRevision("api-00001-abc", ("blue", "stable"), 90, 300.0, 100, instances)
    candidate = RoutedRevision("api-00002-abc", (), 10, 0.5, 1, ())
    routes = Routes(7, (RoutedService("platform", "us-central1", "api", (stable, candidate)),))

    write_routes(tmp_path, Routes(6))
    write_routes(tmp_path, routes)

    assert read_routes(tmp_path) == routes
    assert [path.name for path in tmp_path.iterdir()] == ["front_door.json"]


def test_a_status_is_read_as_it_was_written(tmp_path: Path) -> None:
    status = FrontDoorStatus(7, {"api-00001-abc": 12.5})

    write_status(tmp_path, status)

    assert read_status(tmp_path) == status


def test_nothing_written_yet_is_version_zero(tmp_path: Path) -> None:
    assert read_routes(tmp_path) == Routes(0)
    assert read_status(tmp_path) == FrontDoorStatus(0)


def test_a_tag_is_a_host_of_its_own() -> None:
    assert host_of("convergence-api") == "convergence-api.localhost"
    assert host_of("convergence-api", "blue") == "blue---convergence-api.localhost"
