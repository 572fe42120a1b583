from itertools import count

import pytest

from convergence_orchestration.errors import ErrorCode, PermanentError, TransientError
from convergence_orchestration.gcp.bigquery import BigQuery
from convergence_orchestration.gcp.clients import bigquery_client
from convergence_orchestration.settings import Settings
from convergence_orchestration.tenancy.model import TenantId, TenantState
from convergence_orchestration.tenancy.schema.fleet import drift_of, served_tenants
from convergence_orchestration.tenancy.schema.plans import in_turn, plans_for
from convergence_orchestration.tenancy.schema.rollout import Rollout, TenantOutcome, roll_out
from convergence_orchestration.warehouse.catalogue import tenant_tables
from convergence_orchestration_tests.emulators import Emulator
from convergence_orchestration_tests.gcp.faults import faults
from convergence_orchestration_tests.tenancy.schema.fleets import (
    DyingBigQuery,
    Fleet,
    ForgetfulBigQuery,
    KilledError,
    fleet_of,
)

DEFAULT = Rollout()


def rolled_out(
    fleet: Fleet, bigquery: BigQuery | None = None, canary: str | None = None, rollout: Rollout = DEFAULT
) -> list[tuple[TenantOutcome, ...]]:
    chosen = served_tenants(fleet.warehouse)
    plans = plans_for(drift_of(fleet.warehouse, chosen))
    turns = in_turn(plans, TenantId(canary) if canary else None, chosen)
    return list(roll_out(bigquery or fleet.warehouse, turns, rollout))


def ids(batches: list[tuple[TenantOutcome, ...]]) -> list[list[str]]:
    return [[outcome.tenant_id for outcome in batch] for batch in batches]


def test_only_tenants_that_are_served_are_looked_after(settings: Settings) -> None:
    fleet = fleet_of(settings, right=["acme"])
    fleet.adds("paused", state=TenantState.SUSPENDED)
    for number, state in enumerate(set(TenantState) - {TenantState.ACTIVE, TenantState.SUSPENDED}):
        fleet.adds(f"other_{number}", state=state)

    assert served_tenants(fleet.warehouse) == ["acme", "paused"]


def test_the_canary_comes_first_then_the_others_in_batches(settings: Settings) -> None:
    fleet = fleet_of(settings, old=["acme", "globex", "hooli", "initech"], right=["umbrella"])

    batches = rolled_out(fleet, canary="hooli", rollout=Rollout(batch_size=2))

    assert ids(batches) == [["hooli"], ["acme", "globex"], ["initech"]]
    assert all(outcome.is_as_declared for batch in batches for outcome in batch)
    assert all(fleet.is_migrated(each) for each in ("acme", "globex", "hooli", "initech"))
    assert rolled_out(fleet) == []


def test_a_canary_that_is_not_as_declared_stops_the_rollout_before_the_others(settings: Settings) -> None:
    fleet = fleet_of(settings, old=["acme", "globex"])
    forgetful = ForgetfulBigQuery(bigquery_client(settings), TenantId("acme"))

    with pytest.raises(PermanentError, match="Look at the canary acme before") as caught:
        rolled_out(fleet, forgetful)

    assert caught.value.code is ErrorCode.FAILED_PRECONDITION
    assert "tenant_acme.step_logs.duration_ms (declared FLOAT64 NULLABLE, found -)" in caught.value.message
    assert not any("tenant_globex" in statement for statement in forgetful.asked)
    assert fleet.columns("globex", "usage_daily") == []


@pytest.mark.parametrize(("code", "kind"), [(403, PermanentError), (503, TransientError)])
def test_a_canary_that_fails_stops_the_rollout_with_its_own_error(
    settings: Settings, local_bigquery: Emulator, code: int, kind: type[Exception]
) -> None:
    fleet = fleet_of(settings, old=["acme", "globex"])
    refusal = {
        "method": f"POST */projects/{settings.gcp_project_id}/datasets/tenant_acme/tables",
        "code": code,
    }

    with (
        faults(local_bigquery, refusal),
        pytest.raises(kind, match="canary acme; no other tenant was touched"),
    ):
        rolled_out(fleet, BigQuery(bigquery_client(settings), total_seconds=1))

    assert not fleet.is_migrated("globex")


def test_one_tenants_failure_is_told_and_stops_nobody_else(settings: Settings) -> None:
    fleet = fleet_of(settings, old=["acme", "globex", "hooli"])
    forgetful = ForgetfulBigQuery(bigquery_client(settings), TenantId("globex"))

    outcomes = {outcome.tenant_id: outcome for batch in rolled_out(fleet, forgetful) for outcome in batch}

    assert {name: outcome.failure is None for name, outcome in outcomes.items()} == {
        "acme": True,
        "globex": False,
        "hooli": True,
    }
    assert str(outcomes[TenantId("globex")].failure).startswith("Look at tenant_globex.step_logs.duration_ms")
    assert fleet.is_migrated("hooli")


def test_a_tenant_whose_dataset_is_gone_fails_alone_and_gets_none(settings: Settings) -> None:
    fleet = fleet_of(settings, old=["acme"])
    fleet.adds("lost")

    outcomes = {outcome.tenant_id: outcome for batch in rolled_out(fleet) for outcome in batch}

    assert str(outcomes[TenantId("lost")].failure).startswith("Restore dataset tenant_lost")
    assert fleet.warehouse.get_dataset("tenant_lost") is None
    assert fleet.is_migrated("acme")


def test_too_many_failures_leave_the_rest_as_it_is(settings: Settings) -> None:
    fleet = fleet_of(settings, old=["acme", "zorg"])
    fleet.adds("lost_1", "lost_2")

    with pytest.raises(PermanentError, match="more than 1 failed"):
        rolled_out(fleet, rollout=Rollout(batch_size=2, max_failures=1))

    assert fleet.is_migrated("acme")
    assert not fleet.is_migrated("zorg")


def test_a_table_that_is_refused_keeps_its_tenant_from_being_as_declared_and_from_nothing_else(
    settings: Settings,
) -> None:
    fleet = fleet_of(settings)
    fleet.adds("acme")
    fleet.has_tables("acme", old=True, clustering=False)

    ((outcome,),) = rolled_out(fleet)

    assert (outcome.failure, outcome.is_as_declared) == (None, False)
    assert fleet.is_migrated("acme")


def test_killed_behind_any_write_a_rollout_is_finished_by_the_next_one(settings: Settings) -> None:
    fleet = fleet_of(settings, old=["acme", "globex"])
    kills = 0
    for writes in count(1):
        try:
            rolled_out(fleet, DyingBigQuery(bigquery_client(settings), writes))
        except KilledError:
            kills += 1
            _ages(fleet, "acme", "globex")
        else:
            break

    assert kills == 4
    assert fleet.is_migrated("acme")
    assert fleet.is_migrated("globex")
    for tenant_id in ("acme", "globex"):
        assert fleet.warehouse.list_tables(f"tenant_{tenant_id}") == [spec.name for spec in tenant_tables()]


def _ages(fleet: Fleet, *tenants: str) -> None:
    """What a kill left is migrated by the next rollout; then all is as old as before."""
    rolled_out(fleet)
    for tenant_id in tenants:
        assert fleet.is_migrated(tenant_id)
        fleet.warehouse.delete_table(f"tenant_{tenant_id}", "usage_daily")
        fleet.warehouse.execute(f"ALTER TABLE tenant_{tenant_id}.step_logs DROP COLUMN duration_ms")
