from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest

from convergence_orchestration.definitions import build_definitions
from convergence_orchestration.gcp.kms import Kms
from convergence_orchestration.gcp.resources import settings_resources
from convergence_orchestration.keys.issuing import issue
from convergence_orchestration.keys.model import new_key_id
from convergence_orchestration.keys.sealed_store import SealedKey
from convergence_orchestration.keys.stores import KeyStores
from convergence_orchestration.keys.upkeep.jobs import reseal_keys, sweep_sealed_keys
from convergence_orchestration.keys.upkeep.schedules import sealed_key_sweep
from convergence_orchestration.settings import Settings
from convergence_orchestration.tenancy.model import TenantId
from convergence_orchestration_tests.keys.builders import ACME, DEVELOPMENT, new_key
from convergence_orchestration_tests.keys.job_resources import job_resources

QUIET = datetime(2026, 11, 23, 12, 5, tzinfo=UTC)


def evaluated(project: Settings, tick: datetime) -> dg.RunRequest | dg.SkipReason:
    bigquery = settings_resources(project)["bigquery"]
    with dg.build_schedule_context(
        scheduled_execution_time=tick, resources={"bigquery": bigquery}
    ) as context:
        outcome = sealed_key_sweep(context)
    assert isinstance(outcome, dg.RunRequest | dg.SkipReason)
    return outcome


@pytest.fixture
def copy(stores: KeyStores) -> Iterator[SealedKey]:
    """A copy that was never issued, of a week ago."""
    stores.copies.wipe(*(each.key_id for each in stores.copies.store.all()))
    week_ago = datetime.now(UTC) - timedelta(days=8)
    one = SealedKey(new_key_id(), ACME, DEVELOPMENT, b"not sealed by anybody", week_ago)
    stores.copies.store.insert(one)
    yield one
    stores.copies.wipe(one.key_id)


def test_a_sweep_is_launched_only_when_a_copy_is_due_or_once_a_day(
    project: Settings, stores: KeyStores, kms: Kms, tenant_id: TenantId, copy: SealedKey
) -> None:
    lost = issue(stores, kms, new_key(new_key_id(), tenant_id), lambda: copy.sealed_at).key_id
    assert isinstance(evaluated(project, QUIET), dg.RunRequest)
    result = sweep_sealed_keys.execute_in_process(resources=job_resources(project))
    (event,) = [each for each in result.all_events if each.is_successful_output]
    shown = {name: value.value for name, value in event.step_output_data.metadata.items()}
    assert shown["revoked"] == [lost]
    assert shown["wiped"] == {
        copy.key_id: "the key was never issued",
        lost: "nobody fetched the key within 7 days",
    }
    assert stores.ledger.active_for(tenant_id, datetime.now(UTC)) == []
    assert stores.copies.store.get(copy.key_id) is None
    assert isinstance(evaluated(project, QUIET), dg.SkipReason)
    assert isinstance(evaluated(project, QUIET.replace(hour=3, minute=35)), dg.RunRequest)


def test_before_the_bootstrap_nothing_is_swept(settings: Settings) -> None:
    outcome = evaluated(settings, QUIET)
    assert isinstance(outcome, dg.SkipReason)
    assert "not bootstrapped" in str(outcome.skip_message)


@pytest.mark.usefixtures("copy", "kms")
def test_a_copy_that_cannot_be_sealed_anew_fails_the_run_behind_all_others(project: Settings) -> None:
    result = reseal_keys.execute_in_process(resources=job_resources(project), raise_on_error=False)
    assert not result.success
    (event,) = [each for each in result.all_events if each.is_step_failure]
    declared = event.step_failure_data.user_failure_data
    assert declared is not None
    assert declared.metadata["code"].value == "invalid_argument"


def test_the_code_location_has_the_jobs_and_runs_the_schedules(project: Settings) -> None:
    definitions = build_definitions(project)
    for name in ("sealed_key_sweep", "daily_resealing"):
        schedule = definitions.resolve_schedule_def(name)
        assert schedule.default_status is dg.DefaultScheduleStatus.RUNNING
    assert {"sweep_sealed_keys", "reseal_keys"} <= {job.name for job in definitions.resolve_all_job_defs()}
