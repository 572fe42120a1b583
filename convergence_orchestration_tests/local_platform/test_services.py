from itertools import pairwise
from pathlib import Path

import pytest

from convergence_orchestration.local_platform.model import ServiceName
from convergence_orchestration.local_platform.ports import Ports, front_door_source
from convergence_orchestration.local_platform.services import (
    Addresses,
    ApiDeployment,
    Service,
    Stops,
    platform_services,
)
from convergence_orchestration_tests.local_platform.builders import a_directory, a_record

SECRET = "cvgadm_dev_not_really"


@pytest.fixture(params=[True, False])
def services(request: pytest.FixtureRequest, tmp_path: Path) -> dict[ServiceName, Service]:
    ports = Ports(9000)
    table = platform_services(
        a_directory(tmp_path / "a directory"),
        ports,
        Addresses.of(a_record(base_port=9000)),
        "a-project",
        {
            "ADMIN_API_KEY": SECRET,
            "PATH": "/bin",
            "API_HOST": "0.0.0.0",  # noqa: S104 it is what is tested
            "API_PORT": "9000",
            "TRUSTED_PROXIES": "10.0.0.0/8",
            "CONVERGENCE_PLATFORM_ID": "the-id",
        },
        is_first_start=request.param,
        api=ApiDeployment(
            "convergence-api-dev",
            "local-1",
            is_done=not request.param,
            most_instances=3,
            is_https_only=request.param,
        ),
    )
    return {service.name: service for service in table}


def test_every_service_has_a_command_and_what_it_needs_comes_before_it(
    services: dict[ServiceName, Service],
) -> None:
    assert set(services) == set(ServiceName)
    before: set[ServiceName] = set()
    for name, service in services.items():
        assert service.needs <= before
        assert service.command[1:3] == ("-P", "-m")
        before.add(name)


def test_the_administrators_key_is_in_the_environment_of_the_apis_node_alone(
    services: dict[ServiceName, Service],
) -> None:
    knowing = {name for name, service in services.items() if SECRET in service.environment.values()}

    assert knowing == {ServiceName.NODE}
    assert not any(SECRET in word for service in services.values() for word in service.command)


def test_the_api_is_started_when_there_is_a_key(services: dict[ServiceName, Service]) -> None:
    assert ServiceName.ADMIN_KEY in services[ServiceName.API].needs
    assert services[ServiceName.ADMIN_KEY].probe is None
    assert services[ServiceName.ADMIN_KEY].is_step


def test_the_api_is_a_step_that_waits_for_dagster_only_if_it_has_to_be_deployed(
    services: dict[ServiceName, Service],
) -> None:
    api, is_first_start = (
        services[ServiceName.API],
        ServiceName.WEBSERVER in services[ServiceName.DAEMON].needs,
    )

    assert api.is_step
    assert api.probe is not None
    assert {ServiceName.NODE, ServiceName.FRONT_DOOR} <= api.needs
    assert (ServiceName.WEBSERVER in api.needs) is is_first_start


def test_the_front_door_has_the_apis_port_and_address(services: dict[ServiceName, Service]) -> None:
    command = services[ServiceName.FRONT_DOOR].command

    assert command[command.index("--http-port") + 1] == "9000"
    assert command[command.index("--host") + 1] == "0.0.0.0"  # noqa: S104 it is what is tested


def test_both_emulators_read_the_one_faults_file(
    services: dict[ServiceName, Service], tmp_path: Path
) -> None:
    faults = ("--faults", str(tmp_path / "a directory" / "faults.yaml"))

    assert services[ServiceName.LOCAL_GCP].command[-2:] == faults
    assert ("--front-door-port", "9006") in pairwise(services[ServiceName.LOCAL_GCP].command)
    assert services[ServiceName.BIGQUERY].command[-2:] == faults


def test_what_judges_stops_before_what_it_judges_and_the_emulators_outlive_those_that_use_them(
    services: dict[ServiceName, Service],
) -> None:
    turns = {turn: {name for name, service in services.items() if service.stops is turn} for turn in Stops}

    assert turns == {
        Stops.FIRST: {ServiceName.DAEMON, ServiceName.CODE_SERVER},
        Stops.SECOND: {ServiceName.NODE, ServiceName.ADMIN_KEY, ServiceName.API},
        Stops.LAST: {
            ServiceName.LOCAL_GCP,
            ServiceName.FRONT_DOOR,
            ServiceName.BIGQUERY,
            ServiceName.WEBSERVER,
        },
    }


def test_the_node_passes_on_settings_and_the_platforms_mark_alone(
    services: dict[ServiceName, Service],
) -> None:
    node = services[ServiceName.NODE]
    words = iter(node.command)
    named = {next(words) for word in words if word == "--pass-env"}

    assert named == {"ADMIN_API_KEY", "API_HOST", "TRUSTED_PROXIES", "CONVERGENCE_PLATFORM_ID"}
    assert node.environment["API_HOST"] == "127.0.0.1"
    assert node.environment["TRUSTED_PROXIES"] == f"10.0.0.0/8,{front_door_source()}"


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("0.0.0.0", "http://127.0.0.1:9000"),  # noqa: S104 it is what is tested
        ("10.0.0.7", "http://10.0.0.7:9000"),
        ("::1", "http://[::1]:9000"),
    ],
)
def test_the_apis_address_can_be_connected_to(host: str, url: str) -> None:
    addresses = Addresses.of(a_record(base_port=9000, api_host=host))

    assert (addresses.api, addresses.authority_file) == (url, None)


@pytest.mark.parametrize(("environment", "short"), [("staging", "staging"), ("production", "prod")])
def test_what_others_reach_is_asked_with_tls_by_the_services_name(environment: str, short: str) -> None:
    variables = {"environment": environment, "run_authority_file": "/ca.pem"}
    addresses = Addresses.of(a_record(base_port=9000, variables=variables))

    assert addresses.api == f"https://convergence-api-{short}.localhost:9006"
    assert addresses.authority_file == "/ca.pem"


def test_the_machine_bounds_the_instances_and_https_alone_is_the_front_doors(
    services: dict[ServiceName, Service],
) -> None:
    is_first_start = ServiceName.WEBSERVER in services[ServiceName.DAEMON].needs

    assert ("--most-instances", "3") in pairwise(services[ServiceName.NODE].command)
    assert ("--https-only" in services[ServiceName.FRONT_DOOR].command) is is_first_start
