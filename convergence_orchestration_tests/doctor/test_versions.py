from pathlib import Path

import pytest

from convergence_orchestration import __version__
from convergence_orchestration.doctor import versions
from convergence_orchestration.doctor.disk import Room, disk, room_of
from convergence_orchestration.doctor.model import Patient, State
from convergence_orchestration.settings import load_settings
from convergence_orchestration_tests.doctor.test_network import NOW, a_server

PATIENT = Patient(load_settings(_env_file=None))


def test_this_checkout_is_as_locked_and_loads_its_catalogue() -> None:
    found = {finding.subject: finding for finding in versions.unconfigured()}

    assert {finding.state for finding in found.values()} == {State.OK}, found
    assert "`created` among them" in found["log records"].cause


def test_another_python_is_a_problem() -> None:
    finding = versions.python((3, 12))

    assert (finding.state, finding.cure) == (State.PROBLEM, "rm -rf .venv && make setup")


def test_packages_that_are_not_as_locked_are_named() -> None:
    pins = versions.pins_of(
        "dagster==1.13.27 \\\n    --hash=sha256:00\nlimits[redis]==5.1 ; x\n# via x\nuv==0.9\n"
    )
    assert pins == {"dagster": "1.13.27", "limits": "5.1", "uv": "0.9"}

    finding = versions.packages(pins, {"dagster": "1.12.0", "limits": None, "uv": "0.9"})

    assert finding.state is State.PROBLEM
    assert finding.cause == "dagster 1.12.0 instead of 1.13.27, limits missing instead of 5.1"
    assert finding.cure == "make setup"
    many = {f"p{number}": "1" for number in range(9)}
    assert versions.packages(many, dict.fromkeys(many)).cause.endswith("and 4 more")


def test_without_a_lock_nobody_knows(tmp_path: Path) -> None:
    assert versions.locked(tmp_path).state is State.UNKNOWN


@pytest.mark.parametrize(
    ("served", "state"), [(__version__, State.OK), ("0.0.1", State.PROBLEM), (None, State.UNKNOWN)]
)
def test_an_api_of_another_version_is_a_problem(served: str | None, state: State) -> None:
    finding = versions.deployed(served, "http://api", PATIENT)

    assert finding.state is state
    assert ("deploy_service" in finding.cure) is (state is State.PROBLEM)


def test_an_api_that_does_not_tell_its_version_has_none() -> None:
    with a_server(NOW) as port:
        assert versions.served_version(f"http://127.0.0.1:{port}") is None


def test_a_full_disk_is_a_problem(tmp_path: Path) -> None:
    assert disk(tmp_path, Room(100_000_000_000, 50_000_000_000)).state is State.OK
    for room in (Room(100_000_000_000, 1_500_000_000), Room(10_000_000_000, 900_000_000)):
        finding = disk(tmp_path, room)
        assert finding.state is State.PROBLEM
        assert str(tmp_path) in finding.cure


def test_a_directory_that_is_not_there_yet_has_the_room_of_the_one_above(tmp_path: Path) -> None:
    assert room_of(tmp_path / "not" / "yet").total == room_of(tmp_path).total
