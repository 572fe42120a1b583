from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import dagster as dg
import pytest

from convergence_orchestration.definitions import build_definitions
from convergence_orchestration.errors import ErrorCode
from convergence_orchestration.gcp.bigquery import BigQuery
from convergence_orchestration.gcp.clients import bigquery_client
from convergence_orchestration.gcp.resources import BigQueryConnection, settings_resources
from convergence_orchestration.settings import Settings
from convergence_orchestration.tenancy.model import TenantId, TenantState
from convergence_orchestration.tenancy.schema.assets import (
    DRIFT_KEY,
    SCHEMA_KEY,
    MigrateConfig,
    schema_drift,
    tenant_schema,
)
from convergence_orchestration.tenancy.schema.jobs import tenant_schema_jobs
from convergence_orchestration.tenancy.schema.schedules import tenant_schema_schedules
from convergence_orchestration.warehouse.catalogue import tenant_tables
from convergence_orchestration_tests.emulators import Emulator
from convergence_orchestration_tests.gcp.faults import faults
from convergence_orchestration_tests.tenancy.schema.fleets import (
    DyingBigQuery,
    ForgetfulBigQuery,
    fleet_of,
)

TABLES = {spec.name for spec in tenant_tables()}


def connection_to(bigquery: BigQuery) -> BigQueryConnection:
    """A connection whose BigQuery the test chose; Dagster copies resources, so it is no field."""

    class Given(BigQueryConnection):
        def bigquery(self) -> BigQuery:
            return bigquery

    return Given(project=bigquery.project, location=bigquery.location)


@dataclass
class Dagster:
    """Runs the assets in this process, over the tenants that it has partitions for."""

    settings: Settings
    instance: dg.DagsterInstance

    def report(self) -> dg.ExecuteInProcessResult:
        return dg.materialize(
            [schema_drift], resources=self._resources(None), instance=self.instance, raise_on_error=False
        )

    def migrate(
        self, *tenants: str, bigquery: BigQuery | None = None, **config: object
    ) -> dg.ExecuteInProcessResult:
        """One run over the range of partitions from the first to the last, as a backfill by a single run is."""
        self.instance.add_dynamic_partitions("tenants", list(tenants))
        return dg.materialize(
            [tenant_schema],
            resources=self._resources(bigquery),
            instance=self.instance,
            run_config={"ops": {"tenant_schema": {"config": config}}},
            tags={
                "dagster/asset_partition_range_start": tenants[0],
                "dagster/asset_partition_range_end": tenants[-1],
            },
            raise_on_error=False,
        )

    @property
    def as_declared(self) -> set[str]:
        return self.instance.get_materialized_partitions(SCHEMA_KEY)

    def _resources(self, given: BigQuery | None) -> Mapping[str, Any]:
        return {"bigquery": connection_to(given) if given else settings_resources(self.settings)["bigquery"]}


@pytest.fixture
def dagster(settings: Settings) -> Iterator[Dagster]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield Dagster(settings, instance)


def observed(result: dg.ExecuteInProcessResult) -> list[dict[str, Any]]:
    """What the observations of the run show, by name."""
    return [
        {
            name: [dict(record.data) for record in value.records]
            if isinstance(value, dg.TableMetadataValue)
            else value.value
            for name, value in event.asset_observation_data.asset_observation.metadata.items()
        }
        for event in result.all_events
        if event.is_asset_observation
    ]


def reported(result: dg.ExecuteInProcessResult) -> Mapping[str, Any]:
    (event,) = result.asset_materializations_for_node("schema_drift")
    return event.metadata


def failure(result: dg.ExecuteInProcessResult) -> tuple[object, str]:
    (event,) = [each for each in result.all_events if each.is_step_failure]
    declared = event.step_failure_data.user_failure_data
    assert declared is not None
    return declared.metadata["code"].value, declared.description or ""


def test_a_fleet_as_declared_passes(settings: Settings, dagster: Dagster) -> None:
    fleet_of(settings, right=["acme"])

    result = dagster.report()

    (check,) = result.get_asset_check_evaluations()
    assert (check.passed, check.description) == (True, "As declared.")
    assert reported(result)["differences"].value == 0
    assert reported(result)["tables_compared"].value == len(TABLES)


def test_drift_that_a_migration_mends_is_a_warning_with_a_table(settings: Settings, dagster: Dagster) -> None:
    fleet_of(settings, old=["globex"], right=["acme"])

    result = dagster.report()

    (check,) = result.get_asset_check_evaluations()
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert str(check.description).startswith("Run the job `migrate_tenants`")
    metadata = reported(result)
    assert [dict(record.data) for record in metadata["shown"].records] == [
        {
            "tenant": "globex",
            "table": "step_logs",
            "column": "duration_ms",
            "declared": "FLOAT64 NULLABLE",
            "found": "-",
        },
        {
            "tenant": "globex",
            "table": "usage_daily",
            "column": "(table)",
            "declared": "a table",
            "found": "-",
        },
    ]
    counts = {name: metadata[name].value for name in ("tenants", "tenants_that_differ", "differences")}
    assert counts == {"tenants": 2, "tenants_that_differ": 1, "differences": 2}
    assert metadata["duration_seconds"].value > 0


def test_drift_that_a_person_has_to_look_at_is_an_error(settings: Settings, dagster: Dagster) -> None:
    fleet = fleet_of(settings, right=["acme"])
    fleet.adds("globex", "lost")
    fleet.has_tables("globex", clustering=False)

    (check,) = dagster.report().get_asset_check_evaluations()

    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert str(check.description).startswith("Look at the tables of globex: at 2 of 2 tenants")


def test_a_read_that_fails_reports_nothing(
    settings: Settings, dagster: Dagster, local_bigquery: Emulator
) -> None:
    fleet_of(settings, right=["acme"])
    refusal = {"method": f"*/projects/{settings.gcp_project_id}/*", "code": 403, "reason": "accessDenied"}

    with faults(local_bigquery, refusal):
        result = dagster.report()

    assert failure(result)[0] == ErrorCode.PERMISSION_DENIED
    assert result.get_asset_check_evaluations() == []
    assert dagster.instance.get_latest_materialization_event(DRIFT_KEY) is None


def test_before_the_bootstrap_the_report_says_what_to_do_first(dagster: Dagster) -> None:
    code, message = failure(dagster.report())

    assert (code, message.startswith("Bootstrap the platform first")) == (ErrorCode.NOT_BOOTSTRAPPED, True)


def test_a_dry_run_shows_what_it_would_do_and_changes_nothing(settings: Settings, dagster: Dagster) -> None:
    fleet = fleet_of(settings, old=["globex"], right=["acme"])
    fleet.adds("hooli")
    fleet.has_tables("hooli", clustering=False)
    fleet.adds("leaving", state=TenantState.OFFBOARDING)

    result = dagster.migrate("acme", "globex", "hooli", "leaving")

    assert result.success
    (plan,) = observed(result)
    assert (plan["dry_run"], plan["tenants"], plan["to_migrate"], plan["refused_at"]) == (True, 3, 1, 1)
    assert [(row["tenant"], row["table"]) for row in plan["shown_statements"]] == [
        ("globex", "step_logs"),
        ("globex", "usage_daily"),
    ]
    assert "ADD COLUMN IF NOT EXISTS `duration_ms` FLOAT64" in plan["shown_statements"][0]["statement"]
    (refused,) = plan["shown_refusals"]
    assert (refused["tenant"], refused["table"], refused["column"]) == ("hooli", "dq_results", "(clustering)")
    assert plan["shown_not_served"] == "leaving"
    assert dagster.as_declared == {"acme"}
    assert not fleet.is_migrated("globex")
    assert fleet.versions("acme") == {}


def test_one_run_migrates_the_chosen_tenants_and_materializes_each_once(
    settings: Settings, dagster: Dagster
) -> None:
    fleet = fleet_of(settings, old=["globex", "hooli", "initech"], right=["acme"])

    result = dagster.migrate("acme", "globex", "hooli", dry_run=False, canary="hooli", batch_size=1)

    assert result.success
    events = [event for event in result.all_events if event.is_step_materialization]
    assert [event.partition for event in events] == ["acme", "hooli", "globex"]
    assert dagster.as_declared == {"acme", "globex", "hooli"}
    assert fleet.is_migrated("globex")
    assert not fleet.is_migrated("initech")
    assert fleet.versions("acme") == dict.fromkeys(TABLES, "FOUND")
    assert fleet.versions("hooli") == {"step_logs": "MIGRATED", "usage_daily": "CREATED"}
    _, done = observed(result)
    assert (done["migrated"], done["failed"], done["not_begun"], done["statements_run"]) == (2, 0, 0, 4)


def test_a_tenant_that_fails_is_listed_and_the_run_says_what_to_do(
    settings: Settings, dagster: Dagster
) -> None:
    fleet = fleet_of(settings, old=["acme", "globex", "hooli"])
    forgetful = ForgetfulBigQuery(bigquery_client(settings), TenantId("globex"))

    result = dagster.migrate("acme", "globex", "hooli", bigquery=forgetful, dry_run=False)

    code, message = failure(result)
    assert code == ErrorCode.FAILED_PRECONDITION
    assert message.startswith("Look at the 1 tenants in `shown_failures`")
    assert [row["tenant"] for row in observed(result)[-1]["shown_failures"]] == ["globex"]
    assert dagster.as_declared == {"acme", "hooli"}
    assert fleet.versions("hooli") == {"step_logs": "MIGRATED", "usage_daily": "CREATED"}
    assert fleet.versions("globex") == {"usage_daily": "CREATED"}


def test_a_canary_that_is_wrong_fails_the_run_and_shows_who_had_no_turn(
    settings: Settings, dagster: Dagster
) -> None:
    fleet = fleet_of(settings, old=["acme", "globex"])
    forgetful = ForgetfulBigQuery(bigquery_client(settings), TenantId("acme"))

    result = dagster.migrate("acme", "globex", bigquery=forgetful, dry_run=False)

    assert failure(result)[1].startswith("Look at the canary acme")
    assert observed(result)[-1]["not_begun"] == 1
    assert dagster.as_declared == set()
    assert not fleet.is_migrated("globex")


def test_a_run_that_was_killed_before_it_could_say_so_is_told_by_the_next(
    settings: Settings, dagster: Dagster
) -> None:
    fleet = fleet_of(settings, old=["acme", "globex"])
    killed_behind_the_second_tenant = DyingBigQuery(bigquery_client(settings), writes=5)

    killed = dagster.migrate("acme", "globex", bigquery=killed_behind_the_second_tenant, dry_run=False)
    assert not killed.success
    assert dagster.as_declared == {"acme"}
    assert fleet.is_migrated("globex")
    assert fleet.versions("globex") == {}
    result = dagster.migrate("acme", "globex", dry_run=False)

    assert result.success
    assert dagster.as_declared == {"acme", "globex"}
    assert fleet.versions("globex") == dict.fromkeys(TABLES, "FOUND")
    assert fleet.versions("acme") == {
        **dict.fromkeys(TABLES, "FOUND"),
        "step_logs": "MIGRATED",
        "usage_daily": "CREATED",
    }


def test_a_migration_is_one_run_over_all_partitions_and_dry_unless_told() -> None:
    assert tenant_schema.backfill_policy == dg.BackfillPolicy.single_run()
    assert MigrateConfig().dry_run
    assert all(field.description for field in MigrateConfig.model_fields.values())
    assert all(job.description for job in tenant_schema_jobs())


def test_the_code_location_offers_the_jobs_and_the_daily_report(settings: Settings) -> None:
    definitions = build_definitions(settings)

    names = {job.name for job in definitions.resolve_all_job_defs()}
    assert {"migrate_tenants", "report_schema_drift", "migrate_central_tables"} <= names
    (schedule,) = tenant_schema_schedules()
    assert schedule.default_status is dg.DefaultScheduleStatus.RUNNING
    assert definitions.resolve_schedule_def(schedule.name).job_name == "report_schema_drift"


def test_the_job_of_the_schedule_reports(settings: Settings, dagster: Dagster) -> None:
    fleet_of(settings, right=["acme"])

    job = build_definitions(settings).resolve_job_def("report_schema_drift")

    assert job.execute_in_process(instance=dagster.instance).success
