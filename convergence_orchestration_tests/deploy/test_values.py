"""The chart's values and the instance of one machine: names, and that they say the same as what is tested every day."""

import re
from typing import Any

import pytest
import yaml
from dagster._config import process_config, validate_config
from dagster._core.instance.config import dagster_instance_config_schema
from dagster_k8s import K8sRunLauncher

from convergence_orchestration.api.dagster_client import LOCATION
from convergence_orchestration.doctor.configuration import configuration
from convergence_orchestration.doctor.model import State
from convergence_orchestration.releases.specification import specification_of
from convergence_orchestration.settings import Environment, Settings, load_settings
from convergence_orchestration_tests.deploy.chart import instance_config
from convergence_orchestration_tests.deploy.files import DEPLOY, ROOT, site, values

# What the chart knows of the sections that we use, as its templates read them.
_PLACED = {"podSecurityContext", "securityContext", "resources"}
_PROBES = {"readinessProbe", "livenessProbe", "startupProbe"}
_CHART: dict[str, set[str]] = {
    "global": {"serviceAccountName", "postgresqlSecretName", "dagsterHome"},
    "serviceAccount": {"create", "name", "annotations"},
    "telemetry": {"enabled"},
    "ingress": {"enabled"},
    "postgresql": {
        *(
            "enabled",
            "image",
            "postgresqlHost",
            "postgresqlUsername",
            "postgresqlPassword",
            "postgresqlDatabase",
        ),
        *("postgresqlParams", "postgresqlScheme", "service"),
    },
    "computeLogManager": {"type", "config"},
    "runLauncher": {"type", "config"},
    "dagster-user-deployments": {"enabled", "enableSubchart", "imagePullSecrets", "deployments"},
    "dagsterWebserver": {
        *("replicaCount", "image", "service", "workspace", "dbStatementTimeout"),
        *_PLACED,
        *_PROBES,
    },
    "dagsterDaemon": {
        *("enabled", "image", "heartbeatTolerance", "runCoordinator", "runMonitoring", "runRetries"),
        *("sensors", "schedules"),
        *_PLACED,
    },
    "retention": {"enabled", "schedule", "sensor"},
}
_DEPLOYMENT = {
    *("name", "image", "dagsterApiGrpcArgs", "port", "includeConfigInLaunchedRuns", "env"),
    *_PLACED,
    *_PROBES,
}
_ONE_MACHINE_ALONE = {"code_servers", "nux"}


def root_instance() -> dict[str, Any]:
    """The dagster.yaml that every start on this machine uses."""
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "dagster.yaml").read_text())
    return loaded


def vm_instance() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((DEPLOY / "vm" / "dagster.yaml").read_text())
    return loaded


def deployment() -> dict[str, Any]:
    (one,) = values()["dagster-user-deployments"]["deployments"]
    found: dict[str, Any] = one
    return found


def test_every_variable_of_the_values_is_the_sites_and_the_other_way_round() -> None:
    text = (DEPLOY / "helm" / "values.yaml").read_text()

    assert set(re.findall(r"\$\{([A-Z_]+)\}", text)) == set(site())


def test_the_values_use_names_that_the_chart_has() -> None:
    given = values()
    scalars = {"generatePostgresqlPasswordSecret", "generateCeleryConfigSecret", "additionalInstanceConfig"}

    assert set(given) - scalars == set(_CHART)
    for section, names in _CHART.items():
        assert set(given[section]) <= names, section
    assert set(deployment()) <= _DEPLOYMENT


def test_the_launchers_config_is_one_that_dagster_takes() -> None:
    config = instance_config(values())["run_launcher"]["config"]

    checked = process_config(K8sRunLauncher.config_type(), config)  # type: ignore[no-untyped-call]

    assert checked.errors is None or checked.errors == []
    assert checked.success


@pytest.mark.parametrize("instance", [vm_instance(), instance_config(values())], ids=["vm", "chart"])
def test_an_instance_has_the_form_that_dagster_wants(instance: dict[str, Any]) -> None:
    checked = validate_config(dagster_instance_config_schema(), instance)  # variables are not set here

    assert checked.success, checked.errors


def test_one_machine_in_production_differs_from_every_day_in_storage_logs_and_size_alone() -> None:
    everyday, production = root_instance(), vm_instance()
    workers = production["run_launcher"]["config"].pop("max_concurrent_workers")
    everyday["run_launcher"]["config"].pop("max_concurrent_workers")

    assert production.keys() - everyday.keys() == {"storage", "compute_logs"}
    assert everyday.keys() <= production.keys()
    assert {name: production[name] for name in everyday} == everyday
    assert workers == {"env": "MAX_CONCURRENT_WORKERS"}


def test_the_chart_retries_keeps_and_ticks_as_every_day() -> None:
    everyday, chart = root_instance(), instance_config(values())
    keeps = {kind: {**chart["retention"][kind]["purge_after_days"]} for kind in ("schedule", "sensor")}

    assert chart["run_retries"] == everyday["run_retries"]
    assert (chart["sensors"], chart["schedules"]) == (everyday["sensors"], everyday["schedules"])
    for kind, days in keeps.items():
        assert days.pop("started") == -1
        assert days == everyday["retention"][kind]["purge_after_days"]
    for name in ("max_runtime_seconds", "cancel_timeout_seconds", "max_resume_run_attempts", "enabled"):
        assert chart["run_monitoring"][name] == everyday["run_monitoring"][name]


def test_the_code_location_has_the_name_that_the_api_asks_for() -> None:
    (server,) = values()["dagsterWebserver"]["workspace"]["servers"]

    assert server == {"host": deployment()["name"], "port": deployment()["port"], "name": LOCATION}


def test_the_web_servers_probe_asks_where_it_listens() -> None:
    webserver = values()["dagsterWebserver"]

    assert webserver["readinessProbe"]["httpGet"]["port"] == webserver["service"]["port"] > 1023
    assert webserver["service"]["annotations"] == {"networking.gke.io/load-balancer-type": "Internal"}
    assert values()["ingress"] == {"enabled": False}


def test_all_of_dagster_is_one_image_that_never_means_something_else() -> None:
    given = values()
    images = [given["dagsterWebserver"]["image"], given["dagsterDaemon"]["image"], deployment()["image"]]

    assert images == [images[0]] * 3
    assert images[0]["tag"] not in {"latest", None}
    assert images[0]["pullPolicy"] == "IfNotPresent"


def test_no_value_is_a_secret() -> None:
    given = values()

    assert given["postgresql"]["postgresqlPassword"] == ""
    assert not given["generatePostgresqlPasswordSecret"]
    assert [
        one["name"] for one in deployment()["env"] if re.search("KEY$|SECRET|PASSWORD|TOKEN", one["name"])
    ] == []


def test_runs_get_settings_that_exist_and_contradict_nothing() -> None:
    given = {one["name"].lower(): one["value"] for one in deployment()["env"]}
    variables = specification_of(Environment.PRODUCTION).variables

    assert given.keys() <= Settings.model_fields.keys()
    settings = load_settings(_env_file=None, **given)
    assert [each for each in configuration(settings) if each.state is not State.OK] == []
    assert settings.environment is Environment.PRODUCTION
    assert given["log_level"] == variables["LOG_LEVEL"]
