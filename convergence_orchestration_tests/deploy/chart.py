"""The instance that Dagster's chart writes out of our values: the same sections and names, for Dagster's own parser to judge.

What belongs here: the chart's renaming, as far as our values use it. The chart itself is not to be had where tests run.
"""

import re
from typing import Any

RELEASE = "dagster"
NAMESPACE = "dagster"


def instance_config(values: dict[str, Any]) -> dict[str, Any]:
    """What `dagster.yaml` holds in every pod."""
    daemon = values["dagsterDaemon"]
    storage = _postgres(values)
    return {
        **{
            f"{kind}_storage": {
                "module": f"dagster_postgres.{module}",
                "class": f"Postgres{name}Storage",
                "config": storage,
            }
            for kind, module, name in (
                ("run", "run_storage", "Run"),
                ("event_log", "event_log", "EventLog"),
                ("schedule", "schedule_storage", "Schedule"),
            )
        },
        "run_launcher": {"module": "dagster_k8s", "class": "K8sRunLauncher", "config": _launcher(values)},
        "run_coordinator": {
            "module": "dagster.core.run_coordinator",
            "class": daemon["runCoordinator"]["type"],
            "config": _snake(daemon["runCoordinator"]["config"]["queuedRunCoordinator"]),
        },
        "compute_logs": {
            "module": "dagster_gcp.gcs.compute_log_manager",
            "class": values["computeLogManager"]["type"],
            "config": _snake(values["computeLogManager"]["config"]["gcsComputeLogManager"]),
        },
        "run_monitoring": _snake(daemon["runMonitoring"]),
        "run_retries": _snake(daemon["runRetries"]),
        "sensors": _snake(daemon["sensors"]),
        "schedules": _snake(daemon["schedules"]),
        "telemetry": values["telemetry"],
        "retention": {
            kind: {"purge_after_days": values["retention"][kind]["purgeAfterDays"]}
            for kind in ("schedule", "sensor")
        },
        **values["additionalInstanceConfig"],
    }


def _postgres(values: dict[str, Any]) -> dict[str, Any]:
    given = values["postgresql"]
    return {
        "postgres_db": {
            "username": given["postgresqlUsername"],
            "password": {"env": "DAGSTER_PG_PASSWORD"},
            "hostname": given["postgresqlHost"],
            "db_name": given["postgresqlDatabase"],
            "port": given["service"]["port"],
            "params": given["postgresqlParams"],
            "scheme": given["postgresqlScheme"],
        }
    }


def _launcher(values: dict[str, Any]) -> dict[str, Any]:
    given = dict(values["runLauncher"]["config"]["k8sRunLauncher"])
    raw = given.pop("runK8sConfig")
    return {
        **{_snaked(name): value for name, value in given.items() if value not in ([], {}, None)},
        "run_k8s_config": {_snaked(name): value for name, value in raw.items()},
        "job_namespace": NAMESPACE,
        "service_account_name": values["global"]["serviceAccountName"],
        "dagster_home": values["global"]["dagsterHome"],
        "instance_config_map": f"{RELEASE}-instance",
        "postgres_password_secret": values["global"]["postgresqlSecretName"],
    }


def _snake(given: dict[str, Any]) -> dict[str, Any]:
    return {_snaked(name): value for name, value in given.items() if value not in ([], {})}


def _snaked(name: str) -> str:
    return re.sub(r"(?<!^)([A-Z])", r"_\1", name).lower()
