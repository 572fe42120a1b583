import shlex
from itertools import pairwise

import pytest

from convergence_orchestration.security.baseline import baseline_of
from convergence_orchestration.security.google_cloud import enforced, google_cloud
from convergence_orchestration.security.granting import commands
from convergence_orchestration.security.model import Place
from convergence_orchestration.settings import Environment, Settings, load_settings

DAGSTER = "convergence-dagster-prod@my-production.iam.gserviceaccount.com"
API = "convergence-api-prod@my-production.iam.gserviceaccount.com"


def production(**others: object) -> Settings:
    return load_settings(
        _env_file=None, environment=Environment.PRODUCTION, gcp_project_id="my-production", **others
    )


def on_google_cloud() -> Settings:
    return production(dagster_service_account=DAGSTER, op_outputs_bucket="my-production-dagster")


def options_of(line: str) -> dict[str, str]:
    words = shlex.split(line)
    return dict(word[2:].split("=", 1) for word in words if word.startswith("--"))


def test_on_one_machine_nobody_but_the_api_shall_have_a_role() -> None:
    lines = list(commands(production()))

    assert {options_of(line)["member"] for line in lines} == {f"serviceAccount:{API}"}
    assert all(enforced(place, production()) == frozenset() for place in Place)


def test_on_google_cloud_each_declared_role_has_its_command() -> None:
    settings = on_google_cloud()

    lines = list(commands(settings))

    declared = {
        (grant.member, grant.role)
        for place in set(Place) - {Place.DATASET}
        for grant in baseline_of(Environment.PRODUCTION).declared(place, settings) | enforced(place, settings)
    }
    named = {(options_of(line)["member"], options_of(line)["role"]) for line in lines}
    further = {each.role for each in google_cloud().further}
    assert declared <= named
    assert {role for _, role in named - declared} <= further
    assert len(lines) == len(set(lines))


def test_every_command_can_be_typed_as_it_is() -> None:
    for line in commands(on_google_cloud()):
        words = shlex.split(line)
        assert words[0] == "gcloud"
        assert any(word.endswith("add-iam-policy-binding") for word in words)
        assert options_of(line)["role"].startswith("roles/")
        assert "{" not in line.replace("{rest}", "")


def test_the_api_may_open_the_sealed_copies_of_its_own_environment_and_no_other_secret() -> None:
    (line,) = [one for one in commands(on_google_cloud()) if API in one and "secretmanager.admin" in one]

    assert 'startsWith("sealed-key-prod-")' in options_of(line)["condition"]


def test_a_binding_on_the_project_says_whether_it_has_a_condition() -> None:
    of_project = [line for line in commands(on_google_cloud()) if line.startswith("gcloud projects")]

    assert of_project
    assert all("condition" in options_of(line) for line in of_project)


@pytest.mark.parametrize("environment", list(Environment))
def test_no_other_environments_account_is_taken_along(environment: Environment) -> None:
    there = on_google_cloud().of(environment)

    assert (there.dagster_service_account == DAGSTER) is (environment is Environment.PRODUCTION)


def test_roles_of_one_kind_stand_together() -> None:
    """The same files give the same lines in the same order, so that two prints can be compared."""
    lines = list(commands(on_google_cloud()))
    kinds = [line.partition(" add-iam-policy-binding")[0] for line in lines]

    assert lines == list(commands(on_google_cloud()))
    assert sum(a != b for a, b in pairwise(kinds)) == len(set(kinds)) - 1
