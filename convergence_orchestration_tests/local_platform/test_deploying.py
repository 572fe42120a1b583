from pathlib import Path

import pytest

from convergence_orchestration.audit.runs import actor_of
from convergence_orchestration.local_gcp.front_door_contract import (
    RoutedRevision,
    RoutedService,
    Routes,
    write_routes,
)
from convergence_orchestration.local_platform import deploying
from convergence_orchestration.local_platform.deploying import first_release, is_deployed
from convergence_orchestration.local_platform.directory import DataDirectory
from convergence_orchestration.releases.order import parse_item, parse_reason
from convergence_orchestration.releases.specification import specification_of
from convergence_orchestration.settings import Environment, load_settings
from convergence_orchestration_tests.local_platform.builders import a_directory


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DataDirectory:
    monkeypatch.chdir(tmp_path)  # no .env of the developer's
    return a_directory(tmp_path / "a directory")


def route(
    directory: DataDirectory,
    percent: int,
    service: str = "convergence-api-dev",
    project: str = "convergence-local",
) -> None:
    revision = RoutedRevision(f"{service}-00001-abc", ("blue",), percent, 300, 100, ())
    write_routes(
        directory.local_gcp, Routes(1, (RoutedService(project, "us-central1", service, (revision,)),))
    )


def test_what_has_traffic_is_deployed_also_without_an_instance(directory: DataDirectory) -> None:
    assert not is_deployed(directory, load_settings())
    route(directory, 100)
    assert is_deployed(directory, load_settings())
    assert not is_deployed(directory, load_settings(environment=Environment.STAGING))
    assert not is_deployed(directory, load_settings(gcp_project_id="another-project"))


def test_a_tag_without_traffic_is_no_deployment(directory: DataDirectory) -> None:
    route(directory, 0)

    assert not is_deployed(directory, load_settings())


def test_routes_that_cannot_be_read_are_none(directory: DataDirectory) -> None:
    (directory.local_gcp / "front_door.json").write_text("[]")

    assert not is_deployed(directory, load_settings())


@pytest.mark.parametrize("environment", Environment)
def test_the_first_release_is_of_this_tree_and_waives_its_check_list_with_a_reason(
    environment: Environment,
) -> None:
    specification = specification_of(environment)

    config = first_release("local-1", load_settings(environment=environment), specification)

    form = config["ops"]["check_release"]["config"]  # type: ignore[index]
    tree = Path(form["source"].removeprefix("file://"))
    assert (tree / "Dockerfile").is_file()
    assert (tree / "pyproject.toml").is_file()
    assert {parse_item(name) for name in form["overrides"]} == set(specification.checklist)
    assert all(parse_reason(reason) for reason in form["overrides"].values())


@pytest.mark.parametrize(
    ("environment", "jobs"),
    [
        (Environment.DEVELOPMENT, ["deploy_service"]),
        (Environment.STAGING, ["bootstrap", "deploy_service"]),
        (Environment.PRODUCTION, ["bootstrap", "deploy_service"]),
    ],
)
def test_where_there_is_a_check_list_the_log_that_says_why_it_is_waived_is_made_first(
    environment: Environment, jobs: list[str]
) -> None:
    settings = load_settings(environment=environment)

    asked = dict(deploying.runs_of("local-1", settings, specification_of(environment)))

    assert list(asked) == jobs
    assert asked["deploy_service"] == first_release("local-1", settings, specification_of(environment))
    assert actor_of(deploying.STARTED_BY).name == "convergence up"


def test_a_second_start_finds_it_deployed(
    directory: DataDirectory, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    route(directory, 100)

    deploying.main([str(directory.path), "local-1"])

    assert "is deployed" in "".join(capsys.readouterr()) + caplog.text


def test_a_dagster_that_cannot_be_asked_is_said_so(
    directory: DataDirectory,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("DAGSTER_URL", "http://127.0.0.1:9")

    with pytest.raises(SystemExit, match="1"):
        deploying.main([str(directory.path), "local-1"])
    assert "look after Dagster" in "".join(capsys.readouterr()) + caplog.text
