"""What the tests of jobs need of Dagster that `execute_in_process` does not offer."""

from collections.abc import Callable

import dagster as dg
import pytest

from convergence_orchestration.definitions import build_definitions
from convergence_orchestration.settings import Settings, load_settings


def onboard_tenant_as_deployed() -> dg.JobDefinition:
    """The job as the code location offers it, for the settings of the environment."""
    return build_definitions(load_settings()).resolve_job_def("onboard_tenant")


def issue_tenant_key_as_deployed() -> dg.JobDefinition:
    """The job as the code location offers it, for the settings of the environment."""
    return build_definitions(load_settings()).resolve_job_def("issue_tenant_key")


def executed_again(
    job: Callable[[], dg.JobDefinition], settings: Settings, instance: dg.DagsterInstance, run_id: str
) -> dg.JobExecutionResult:
    """A re-execution of the run with its own config, as from the Dagster UI."""
    with pytest.MonkeyPatch.context() as environment:
        hosts = ("bigquery_emulator_host", "kms_emulator_host", "secret_manager_emulator_host")
        for name in ("gcp_project_id", *hosts):
            if value := getattr(settings, name):
                environment.setenv(name.upper(), value)
        return dg.execute_job(
            dg.reconstructable(job),
            instance=instance,
            reexecution_options=dg.ReexecutionOptions(parent_run_id=run_id),
        )


def undescribed(node: object) -> list[str]:
    """The fields of an op's config that say nothing about themselves."""
    assert isinstance(node, dg.OpDefinition)
    config = node.config_schema.config_type
    fields = getattr(config, "fields", {})  # none if the op asks for nothing
    return [name for name, field in fields.items() if not field.description]
