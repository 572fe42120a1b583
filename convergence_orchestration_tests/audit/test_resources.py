"""Runs in the audit log, executed as the code location offers them: by their own executor."""

from collections.abc import Iterator
from typing import Any

import dagster as dg
import pytest
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.execution.api import execute_run_iterator

from convergence_orchestration.audit.log import AuditLog
from convergence_orchestration.audit.model import CLOSED, OPENED, ChainedRow
from convergence_orchestration.audit.resources import EXECUTOR, RunTrails, audit_resources, audited_executor
from convergence_orchestration.audit.trail import AuditTrail
from convergence_orchestration.audit.verification import verify
from convergence_orchestration.definitions import build_definitions
from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.gcp.bigquery import BigQuery
from convergence_orchestration.gcp.resources import BigQueryConnection, reported_failures, settings_resources
from convergence_orchestration.settings import Settings, load_settings
from convergence_orchestration_tests.audit.builders import entry
from convergence_orchestration_tests.emulators import Emulator
from convergence_orchestration_tests.gcp.faults import faults
from convergence_orchestration_tests.warehouse.builders import connected, with_tables

APPEND = "POST */tables/audit_log/insertAll"
NOT_AUDITED = {
    "fulfil_tenant_requests": "it carries out what an audited call or form wrote down, and decides nothing",
    "tenant_pipeline": "a tenant's own call",
    "health_check": "it looks and changes nothing, every minute",
    "report_service_levels": "it reads and changes nothing",
}
RAN: list[str] = []


class FormConfig(dg.Config):
    tenant_id: str = "acme"
    does: str = "succeed"


@dg.op
def do(config: FormConfig, audit: dg.ResourceParam[AuditTrail]) -> None:
    RAN.append(config.does)
    with reported_failures():
        if config.does == "refuse":
            raise PermanentError(ErrorCode.TENANT_EXISTS, "Choose another one.")
    if config.does == "break":
        raise ValueError("a defect")
    audit.append(entry("key.issued"))


@dg.job
def form() -> None:
    do()


@dg.op
def prepare() -> None:
    RAN.append("prepare")


@dg.job(name="bootstrap")
def first_bootstrap() -> None:
    prepare()


@pytest.fixture(autouse=True)
def nothing_ran() -> Iterator[None]:
    RAN.clear()
    yield
    RAN.clear()


def defs(settings: Settings) -> dg.Definitions:
    connection = settings_resources(settings)["bigquery"]
    assert isinstance(connection, BigQueryConnection)
    trails = RunTrails(connection, settings.environment)
    return dg.Definitions(
        jobs=[form, first_bootstrap],
        resources=dict(audit_resources(trails)),
        executor=audited_executor(trails),
    )


def executed(
    settings: Settings, job: str, tags: dict[str, str] | None = None, **config: str
) -> dg.DagsterRun:
    """The run as Dagster knows it afterwards, executed as a worker does: by the executor that the job was given."""
    run_config: dict[str, Any] = {"ops": {"do": {"config": config}}} if config else {}
    return _execute(defs(settings).resolve_job_def(job), run_config, tags or {})


def _execute(definition: dg.JobDefinition, run_config: dict[str, Any], tags: dict[str, str]) -> dg.DagsterRun:
    with dg.DagsterInstance.ephemeral() as instance:
        run = instance.create_run_for_job(definition, run_config=run_config, tags=tags)
        for _ in execute_run_iterator(InMemoryJob(definition), run, instance):
            pass
        ended = instance.get_run_by_id(run.run_id)
    assert ended is not None
    return ended


def rows(settings: Settings) -> list[ChainedRow]:
    found = list(AuditLog(connected(settings)).in_order())
    assert verify(found) == []
    return found


def told(found: list[ChainedRow]) -> list[tuple[str, str, str | None]]:
    return [(row.action, row.outcome, row.error_code) for row in found if row.action not in {OPENED, CLOSED}]


def test_every_job_is_audited_but_those_that_decide_nothing() -> None:
    repository = build_definitions(load_settings(_env_file=None)).get_repository_def()
    others = {job.name for job in repository.get_all_jobs() if job.executor_def.name != EXECUTOR}
    assert others == NOT_AUDITED.keys(), "leave executor_def out of a job, and its runs are audited"


def test_a_run_is_one_chain_from_its_attempt_to_its_outcome(settings: Settings) -> None:
    with_tables(settings, "audit_log")

    result = executed(settings, "form", {"convergence/actor": "alice"}, tenant_id="globex")

    assert result.is_success
    found = rows(settings)
    assert [row.action for row in found] == [OPENED, "run.form", "key.issued", "run.form", CLOSED]
    assert told(found)[::2] == [("run.form", "ATTEMPTED", None), ("run.form", "SUCCEEDED", None)]
    assert (found[1].actor_kind, found[1].actor, found[1].tenant_id) == ("OPERATOR", "alice", "globex")
    assert found[1].run_id == found[3].run_id == result.run_id
    assert found[0].writer_id.startswith(f"run:{result.run_id}:")


@pytest.mark.parametrize(("does", "code"), [("refuse", "tenant_exists"), ("break", "internal")])
def test_a_run_that_fails_says_why(settings: Settings, does: str, code: str) -> None:
    with_tables(settings, "audit_log")

    assert not executed(settings, "form", does=does).is_success

    assert told(rows(settings)) == [("run.form", "ATTEMPTED", None), ("run.form", "FAILED", code)]


def test_a_run_without_its_first_row_does_nothing(settings: Settings, local_bigquery: Emulator) -> None:
    with_tables(settings, "audit_log")
    with faults(local_bigquery, {"method": APPEND, "code": 403}):
        assert not executed(settings, "form", does="succeed").is_success
    assert RAN == []


def test_a_run_without_its_last_row_fails(settings: Settings, local_bigquery: Emulator) -> None:
    with_tables(settings, "audit_log")
    with faults(
        local_bigquery, {"method": APPEND, "body": ["SUCCEEDED", "run.form"], "code": 403, "every": 2}
    ):
        result = executed(settings, "form", does="succeed")
    assert RAN == ["succeed"]
    assert not result.is_success


def test_without_a_log_nothing_runs_but_what_makes_it(settings: Settings) -> None:
    assert not executed(settings, "form", does="succeed").is_success
    assert RAN == []
    assert not executed(settings, "bootstrap").is_success, "it made no log"
    assert RAN == ["prepare"]


def test_the_first_bootstrap_is_recorded_when_it_has_made_the_log(settings: Settings) -> None:
    warehouse: list[BigQuery] = []

    @dg.op
    def make_it() -> None:
        warehouse.append(with_tables(settings, "audit_log"))

    @dg.job(name="bootstrap")
    def real_bootstrap() -> None:
        make_it()

    connection = settings_resources(settings)["bigquery"]
    assert isinstance(connection, BigQueryConnection)
    trails = RunTrails(connection, settings.environment)
    definition = dg.Definitions(jobs=[real_bootstrap], executor=audited_executor(trails)).resolve_job_def(
        "bootstrap"
    )
    assert _execute(definition, {}, {}).is_success

    found = rows(settings)
    assert told(found) == [("run.bootstrap", "ATTEMPTED", None), ("run.bootstrap", "SUCCEEDED", None)]
    assert found[1].recorded_at < found[2].recorded_at
