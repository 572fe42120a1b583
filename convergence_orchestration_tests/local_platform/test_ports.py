import socket
from collections.abc import Iterator

import psutil
import pytest

from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.local_platform.ports import (
    LOOPBACK,
    Ports,
    free_base_port,
    front_door_source,
    reachable,
    require_free,
)

CANDIDATES = range(21000, 29000, 10)
ANY = "0.0.0.0"  # noqa: S104 it is what is tested


@pytest.fixture
def free() -> Ports:
    return Ports(free_base_port(CANDIDATES))


@pytest.fixture
def listener(free: Ports) -> Iterator[socket.socket]:
    """This very process, listening on the port that BigQuery is to have."""
    with socket.socket() as listening:
        listening.bind((LOOPBACK, free.bigquery))
        listening.listen()
        yield listening


def test_the_ports_follow_the_base_port() -> None:
    named = Ports(8000).named()

    assert list(named.values()) == list(range(8000, 8009))
    assert Ports(8000).local_gcp_grpc == 8003
    assert Ports(8000).last == 8008


@pytest.mark.parametrize("base", [0, -1, 65528, 70000])
def test_a_base_port_without_room_behind_it_is_refused(base: int) -> None:
    with pytest.raises(PermanentError, match="between 1 and 65527") as refused:
        Ports(base)
    assert refused.value.code is ErrorCode.INVALID_SETTINGS


def test_free_ports_are_accepted(free: Ports) -> None:
    require_free(free, LOOPBACK)


@pytest.mark.usefixtures("listener")
def test_a_busy_port_is_named_with_its_service_and_its_holder(free: Ports) -> None:
    with pytest.raises(PermanentError) as refused:
        require_free(free, LOOPBACK)

    first, advice = refused.value.message.splitlines()
    assert first.startswith(f"Port {free.bigquery} for BigQuery is in use by ")
    assert "pid" in first
    assert "--base-port" in advice


def test_a_port_that_is_busy_on_loopback_is_busy_for_every_address(free: Ports) -> None:
    with socket.socket() as listening:
        listening.bind((LOOPBACK, free.api))
        listening.listen()
        with pytest.raises(PermanentError, match=f"Port {free.api} for the API is in use"):
            require_free(free, ANY)


@pytest.mark.usefixtures("listener")
def test_a_holder_that_may_not_be_known_is_said_so(free: Ports, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(kind: str) -> None:
        raise psutil.AccessDenied(msg=kind)

    monkeypatch.setattr("psutil.net_connections", denied)  # what macOS answers ordinary users

    with pytest.raises(PermanentError, match="another program"):
        require_free(free, LOOPBACK)


def test_an_address_that_is_not_ours_is_said_so(free: Ports) -> None:
    with pytest.raises(PermanentError, match=r"cannot be listened on at 192\.0\.2\.1"):
        require_free(free, "192.0.2.1")


@pytest.mark.usefixtures("listener")
def test_a_base_port_is_found_beside_busy_ones(free: Ports) -> None:
    assert free_base_port(range(free.base, 29000, 10)) > free.base


@pytest.mark.usefixtures("listener")
def test_no_room_at_all_is_said_so(free: Ports) -> None:
    with pytest.raises(PermanentError, match="no 9 free ports"):
        free_base_port(range(free.base, free.base + 1))


def test_a_host_that_means_any_address_is_reached_on_loopback() -> None:
    assert reachable(ANY) == LOOPBACK
    assert reachable("10.1.2.3") == "10.1.2.3"


def test_the_front_door_comes_from_another_address_than_programs_where_there_is_one() -> None:
    assert front_door_source() in {"127.0.0.2", LOOPBACK}
