"""Counting against the emulator: threads, several stores, midnight, a table made anew."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta

import pytest

from convergence_orchestration.errors import ErrorCode, PermanentError, TransientError
from convergence_orchestration.gcp.bigquery import BigQuery
from convergence_orchestration.gcp.clients import bigquery_client
from convergence_orchestration.settings import Settings
from convergence_orchestration.tenancy.model import PLAN_LIMITS, Plan, PlanLimits, TenantId
from convergence_orchestration.tenancy.pipelines.admission import Admission, admit
from convergence_orchestration.tenancy.pipelines.model import PipelineRunId
from convergence_orchestration.tenancy.pipelines.quota import Usage, Verdict
from convergence_orchestration.tenancy.pipelines.usage import UsageDays
from convergence_orchestration.warehouse.catalogue import tenant_tables, to_bigquery
from convergence_orchestration.warehouse.model import tenant_dataset
from convergence_orchestration_tests.tenancy.pipelines.builders import NOON, SMALL, TODAY, day, run, usage

LAST_SECOND = datetime(2026, 11, 20, 23, 59, 59, tzinfo=UTC)
MIDNIGHT = datetime(2026, 11, 21, tzinfo=UTC)


def ask(days: UsageDays, number: int, now: datetime = NOON, limits: PlanLimits = SMALL) -> Admission:
    return admit(days, run(number), limits, lambda: now)


def counts(days: UsageDays, now: datetime = NOON) -> dict[date, tuple[int, int]]:
    """Runs counted and runs live, by day."""
    return {one.day: (one.pipeline_runs, len(one.live)) for one in days.recent(now).days}


def test_a_dozen_at_once_from_two_processes_get_what_the_plan_has(project: Settings, own: TenantId) -> None:
    stores = [UsageDays(BigQuery(bigquery_client(project)), own) for _ in range(2)]

    with ThreadPoolExecutor(12) as threads:
        got = list(threads.map(lambda number: ask(stores[number % 2], number), range(12)))

    admitted = [one for one in got if one.verdict is Verdict.ADMITTED]
    assert len(admitted) == SMALL.concurrent_runs
    assert all(one.is_new for one in admitted)
    assert {one.verdict for one in got} == {Verdict.ADMITTED, Verdict.ALL_PLACES_TAKEN}
    assert counts(stores[0]) == {TODAY: (3, 3)}


def test_one_run_asked_for_by_many_at_once_is_counted_once(bigquery: BigQuery, own: TenantId) -> None:
    days = UsageDays(bigquery, own)

    with ThreadPoolExecutor(6) as threads:
        got = list(threads.map(lambda _: ask(days, 1), range(6)))

    assert {one.verdict for one in got} == {Verdict.ADMITTED}
    assert sum(one.is_new for one in got) == 1
    assert counts(days) == {TODAY: (1, 1)}


def test_what_was_counted_is_known_after_a_restart(project: Settings, own: TenantId) -> None:
    for number in range(5):
        before = UsageDays(BigQuery(bigquery_client(project)), own)
        assert ask(before, number).verdict is Verdict.ADMITTED
        assert before.release(run(number), NOON, has_failed=number == 0, rows_written=2)

    after = UsageDays(BigQuery(bigquery_client(project)), own)

    assert ask(after, 5).verdict is Verdict.DAY_USED_UP
    (today,) = after.recent(NOON).days
    assert (today.pipeline_runs, today.failed_runs, today.rows_written) == (5, 1, 10)


def test_at_midnight_the_count_begins_anew_and_the_live_keep_their_places(
    bigquery: BigQuery, own: TenantId
) -> None:
    days = UsageDays(bigquery, own)
    for number in range(5):
        ask(days, number, LAST_SECOND)
        if number < 3:
            days.release(run(number), LAST_SECOND, has_failed=False, rows_written=0)
    assert ask(days, 5, LAST_SECOND).verdict is Verdict.DAY_USED_UP

    first, second = ask(days, 6, MIDNIGHT), ask(days, 7, MIDNIGHT)

    assert (first.verdict, first.usage.runs_today, len(first.usage.live)) == (Verdict.ADMITTED, 1, 3)
    assert second.verdict is Verdict.ALL_PLACES_TAKEN
    assert days.release(run(4), MIDNIGHT, has_failed=False, rows_written=1)
    assert ask(days, 7, MIDNIGHT).verdict is Verdict.ADMITTED
    assert counts(days, MIDNIGHT) == {TODAY: (5, 1), MIDNIGHT.date(): (2, 2)}


def test_processes_whose_clocks_differ_around_midnight_do_not_go_beyond_the_places(
    bigquery: BigQuery, own: TenantId
) -> None:
    days = UsageDays(bigquery, own)
    for now in (LAST_SECOND, MIDNIGHT):
        days.open(now)

    def ask_at(number: int) -> Admission:
        return ask(days, number, LAST_SECOND if number % 2 else MIDNIGHT, PLAN_LIMITS[Plan.STARTER])

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(ask_at, range(8)))

    assert sum(live for _, live in counts(days).values()) == PLAN_LIMITS[Plan.STARTER].concurrent_runs


def test_a_run_counted_yesterday_is_not_counted_again(bigquery: BigQuery, own: TenantId) -> None:
    days = UsageDays(bigquery, own)
    ask(days, 1, LAST_SECOND)

    again = ask(days, 1, MIDNIGHT)

    assert (again.verdict, again.is_new) == (Verdict.ADMITTED, False)
    days.open(MIDNIGHT)
    assert not days.count(run(1), SMALL, MIDNIGHT)
    assert counts(days, MIDNIGHT) == {TODAY: (1, 1), MIDNIGHT.date(): (0, 0)}


def test_a_place_is_given_back_once(bigquery: BigQuery, own: TenantId) -> None:
    days = UsageDays(bigquery, own)
    ask(days, 1)

    released = [days.release(run(1), NOON, has_failed=True, rows_written=3) for _ in range(2)]

    assert released == [True, False]
    (today,) = days.recent(NOON).days
    assert (today.failed_runs, today.rows_written, today.live) == (1, 3, ())


def test_a_run_that_never_began_is_as_if_it_had_not_been_asked_for(bigquery: BigQuery, own: TenantId) -> None:
    days = UsageDays(bigquery, own)
    ask(days, 1)
    ask(days, 2)

    withdrawn = [days.withdraw(run(1), NOON) for _ in range(2)]

    assert withdrawn == [True, False]
    (today,) = days.recent(NOON).days
    assert (today.pipeline_runs, today.admitted, today.live) == (1, (run(2),), (run(2),))
    assert ask(days, 1).is_new


def test_the_days_row_is_made_once_and_again_in_a_table_made_anew(bigquery: BigQuery, own: TenantId) -> None:
    days, dataset_id = UsageDays(bigquery, own), tenant_dataset(own)
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda _: days.open(NOON), range(4)))
    assert bigquery.count_rows(dataset_id, "usage_daily") == 1
    bigquery.delete_table(dataset_id, "usage_daily")
    (spec,) = (spec for spec in tenant_tables() if spec.name == "usage_daily")
    bigquery.create_table(to_bigquery(spec, bigquery.project, dataset_id))

    assert ask(days, 1).verdict is Verdict.ADMITTED
    assert counts(days) == {TODAY: (1, 1)}


def test_a_tenant_without_the_table_is_told_to_be_repaired(bigquery: BigQuery, own: TenantId) -> None:
    bigquery.delete_table(tenant_dataset(own), "usage_daily")
    with pytest.raises(PermanentError) as raised:
        UsageDays(bigquery, own).open(NOON)
    assert raised.value.code is ErrorCode.NOT_FOUND
    assert raised.value.message.startswith("Repair")


class AlwaysOutrun(UsageDays):
    """A count which others change between every look and every try."""

    def __init__(self) -> None:
        pass

    def recent(self, now: datetime, back: timedelta = timedelta()) -> Usage:
        del now, back
        return usage(day())

    def count(self, run: PipelineRunId, limits: PlanLimits, now: datetime) -> bool:
        del run, limits, now
        return False


def test_one_who_is_outrun_again_and_again_is_told_to_send_it_again() -> None:
    with pytest.raises(TransientError) as raised:
        ask(AlwaysOutrun(), 1)
    assert raised.value.code is ErrorCode.UNAVAILABLE
