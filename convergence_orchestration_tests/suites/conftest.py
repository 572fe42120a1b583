from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import SecretStr

from convergence_orchestration.settings import Environment
from convergence_orchestration.suites.model import SuiteReport, Target
from convergence_orchestration.suites.running import SUITES, SuiteName, run
from convergence_orchestration.tenancy.model import TenantId
from convergence_orchestration.tenancy.pipelines.attempt import PipelineAttempt
from convergence_orchestration.tenancy.pipelines.model import (
    PIPELINE_JOB,
    parse_pipeline_asked,
    parse_pipeline_run_id,
)
from convergence_orchestration_tests.api.dagster_standin import Launch, Materializations, played_dagster
from convergence_orchestration_tests.api.fulfilling import JOB
from convergence_orchestration_tests.api.platform import ADMIN_KEY, Api, ControlPlane, served
from convergence_orchestration_tests.emulators import EmulatedSettings, fresh_project_id
from convergence_orchestration_tests.suites.mutants import Mutant, authority_in, running

RunSuite = Callable[[Mutant], SuiteReport]


def _pipelines(plane: ControlPlane) -> Callable[[Launch], Materializations]:
    def carry_out(launch: Launch) -> Materializations:
        config = launch.op_config()
        PipelineAttempt(
            bigquery=plane.bigquery,
            tenant_id=TenantId(config["tenant_id"]),
            pipeline_run_id=parse_pipeline_run_id(config["pipeline_run_id"]),
            asked=parse_pipeline_asked(
                config["pipeline"], {"tables": config["tables"], "max_age_hours": config["max_age_hours"]}
            ),
            run_id=launch.run_id,
            is_last_try=True,
            clock=lambda: datetime.now(UTC),
        ).carry_out()
        return []

    return carry_out


@contextmanager
def _api_of(environment: Environment, emulated_settings: EmulatedSettings) -> Iterator[Api]:
    """A whole API of this environment in a project of its own; Dagster is played, its jobs are our own functions."""
    settings = emulated_settings(fresh_project_id()).model_copy(
        update={"environment": environment, "tenant_creations_per_minute": 10_000}
    )
    plane = ControlPlane(settings)
    plane.bootstrap()
    with played_dagster() as dagster, served(settings, dagster) as api:
        dagster.work.update(plane.jobs() | {JOB: plane.fulfilling.really, PIPELINE_JOB: _pipelines(plane)})
        api.wait_until_keys_are_known()
        yield api


@pytest.fixture(scope="session")
def api_of(emulated_settings: EmulatedSettings) -> Callable[[Environment], AbstractContextManager[Api]]:
    return lambda environment: _api_of(environment, emulated_settings)


def suite_on(name: SuiteName, api: Api, directory: Path | None) -> RunSuite:
    """Runs a suite against a mutant of the API; over HTTPS if there is a directory for its authority."""

    def run_it(mutant: Mutant) -> SuiteReport:
        with running(api.url, mutant, directory) as url:
            key = None if SUITES[name].only_reads else SecretStr(ADMIN_KEY)
            authority = str(authority_in(directory)) if directory else None
            return run(name, Target(url, key, authority), lambda: datetime.now(UTC))

    return run_it


def red(report: SuiteReport) -> list[int]:
    """The numbers of the tests that did not pass."""
    return [each.number for each in report.failures]
