from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from convergence_orchestration.errors import PermanentError
from convergence_orchestration.local_gcp.front_door.checking import read_valid_routes
from convergence_orchestration.local_gcp.front_door.configuring import steps
from convergence_orchestration.local_gcp.front_door.load import Load
from convergence_orchestration.local_gcp.front_door.rendering import capacity, clusters, route_table
from convergence_orchestration.local_gcp.front_door_contract import (
    RoutedInstance,
    RoutedRevision,
    RoutedService,
    Routes,
    write_routes,
)

_HERE = (RoutedInstance("127.0.0.1", 4001), RoutedInstance("127.0.0.1", 4002))


def _revision(name: str = "api-1", percent: int = 100, **fields: Any) -> RoutedRevision:
    known: dict[str, Any] = {"tags": (), "timeout_seconds": 5.0, "max_concurrency": 80, "instances": _HERE}
    return RoutedRevision(name=name, percent=percent, **{**known, **fields})


def _routes(*revisions: RoutedRevision, version: int = 1, name: str = "api") -> Routes:
    return Routes(version, (RoutedService("platform", "us-central1", name, revisions),))


def _ports(cluster: dict[str, Any]) -> list[int]:
    endpoints = cluster["load_assignment"]["endpoints"][0]["lb_endpoints"]
    return [one["endpoint"]["address"]["socket_address"]["port_value"] for one in endpoints]


def test_shares_become_bounds_of_one_random_number() -> None:
    table = route_table(
        _routes(_revision("api-1", 60), _revision("api-2", 0), _revision("api-3", 30), _revision("api-4", 10))
    )

    (host,) = [host for host in table.items[0]["virtual_hosts"] if host["name"] == "api.localhost"]
    bounds = {
        route["route"]["cluster"]: route["match"]["runtime_fraction"]["default_value"]["numerator"]
        for route in host["routes"]
    }
    assert bounds == {"api-1": 60, "api-3": 90, "api-4": 100}


def test_limits_follow_concurrency_and_instances() -> None:
    (cluster,) = clusters(_routes(_revision(max_concurrency=7))).items
    (limits,) = cluster["circuit_breakers"]["thresholds"]

    assert limits == {
        "max_connections": 14,
        "max_pending_requests": 14,
        "max_requests": 14,
        "max_retries": 0,
    }
    assert capacity(_revision(instances=())) == 1


def test_what_does_not_change_has_the_same_version() -> None:
    first = _routes(_revision("api-1", 90), _revision("api-2", 10))
    second = replace(_routes(_revision("api-1", 50), _revision("api-2", 50)), version=2)

    assert clusters(first).version == clusters(second).version
    assert route_table(first).version != route_table(second).version
    assert route_table(first).version == route_table(replace(first, version=9)).version


def test_between_two_splits_both_revisions_have_clusters() -> None:
    before = _routes(_revision("api-1"))
    after = _routes(_revision("api-2"), version=2)

    middle, split, end = steps(before, after)

    assert {cluster["name"] for cluster in middle.resources.items} == {"api-1", "api-2"}
    assert split.resources == route_table(after)
    assert {cluster["name"] for cluster in end.resources.items} == {"api-2"}


def test_until_the_split_changes_a_revision_keeps_its_instances_unless_it_has_new_ones() -> None:
    new = (RoutedInstance("127.0.0.1", 4003),)
    before = _routes(_revision("api-1", 50), _revision("api-2", 50))
    after = _routes(_revision("api-1", 0, instances=()), _revision("api-2", 100, instances=new))

    middle, _, end = steps(before, after)

    assert {one["name"]: _ports(one) for one in middle.resources.items} == {
        "api-1": [4001, 4002],
        "api-2": [4003],
    }
    assert {one["name"]: _ports(one) for one in end.resources.items} == {"api-1": [], "api-2": [4003]}


def test_without_services_every_host_is_unknown() -> None:
    hosts = route_table(Routes()).items[0]["virtual_hosts"]
    assert [host["domains"] for host in hosts] == [["*.localhost"], ["*"]]
    assert all(host["routes"][0]["direct_response"]["status"] == 404 for host in hosts)


def test_any_other_host_gets_the_default_service_and_no_other_in_its_place() -> None:
    routes = Routes(
        1,
        tuple(RoutedService("p", "l", name, (_revision(f"{name}-1"),)) for name in ("api-dev", "api-prod")),
    )

    def of_any_host(default: str) -> dict[str, object]:
        host: dict[str, object] = route_table(routes, default).items[0]["virtual_hosts"][-1]["routes"][0]
        return host

    assert of_any_host("")["route"]["cluster"] == "api-dev-1"  # type: ignore[index]
    assert of_any_host("api-prod")["route"]["cluster"] == "api-prod-1"  # type: ignore[index]
    assert of_any_host("api-staging")["direct_response"]["status"] == 404  # type: ignore[index]


def test_good_routes_are_read_as_written(tmp_path: Path) -> None:
    assert read_valid_routes(tmp_path) == Routes()
    routes = _routes(_revision("api-1", 30, tags=("blue",)), _revision("api-2", 70))
    write_routes(tmp_path, routes)
    assert read_valid_routes(tmp_path) == routes


@pytest.mark.parametrize(
    ("routes", "reason"),
    [
        (_routes(_revision(percent=99)), "the shares of api sum to 99"),
        (_routes(_revision("api-1"), _revision("api-1", 0)), "one name"),
        (_routes(_revision(), name="Api"), "'Api' is no name of a service"),
        (_routes(_revision("api_1")), "'api_1' is no name of a revision"),
        (_routes(_revision(tags=("blue", "blue"))), "a tag of api"),
        (_routes(_revision("api-1", 120), _revision("api-2", -20)), "the share of api-1"),
        (_routes(_revision(timeout_seconds=0)), "the timeout of api-1"),
        (_routes(_revision(timeout_seconds=3601)), "the timeout of api-1"),
        (_routes(_revision(max_concurrency=0)), "the concurrency of api-1"),
        (_routes(_revision(instances=(RoutedInstance("127.0.0.1", 0),))), "an instance of api-1"),
        (_routes(_revision(), version=-1), "its version"),
        (_routes(_revision(timeout_seconds="soon")), "no document of routes"),
    ],
)
def test_routes_that_cannot_be_served_are_refused_with_a_reason(
    tmp_path: Path, routes: Routes, reason: str
) -> None:
    write_routes(tmp_path, routes)
    with pytest.raises(PermanentError, match=reason):
        read_valid_routes(tmp_path)


@pytest.mark.parametrize("content", ["", "[]", '{"services": 1}', '{"services": [{"name": "api"}]}', "\xff"])
def test_a_torn_or_malformed_file_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "front_door.json").write_text(content, encoding="latin-1")
    with pytest.raises(PermanentError, match=r"Write front_door\.json anew: it is no document"):
        read_valid_routes(tmp_path)


def test_load_is_averaged_over_the_last_looks_of_each_revision() -> None:
    load = Load(kept=4)
    assert load.averages() == {}
    for looked in (
        {"gone": 1},
        {"api-1": 100},
        {"api-1": 1},
        {"api-1": 2},
        {"api-1": 3},
        {"api-1": 6, "new": 5},
    ):
        load.note(looked)
    assert load.averages() == {"api-1": 3.0, "new": 5.0}
