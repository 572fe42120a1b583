from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from google.api_core.exceptions import BadRequest, Conflict
from google.api_core.retry import Retry
from google.cloud import bigquery

from convergence_orchestration.errors import PermanentError
from convergence_orchestration.gcp.bigquery import BigQuery
from convergence_orchestration.gcp.clients import bigquery_client
from convergence_orchestration.gcp.jobs_once import run_once
from convergence_orchestration.settings import Settings

RETRY = Retry(timeout=5)


def of(kind: Callable[..., Exception], message: str) -> Exception:
    """An exception as Google's untyped constructors make it."""
    return kind(message)


LOST_RACE = of(BadRequest, "Could not serialize access to table t due to concurrent update")


class EndedJob:
    """A job of Google's as far as it is looked at: it failed with `error`, or succeeded."""

    def __init__(self, error: Exception | None = None, *, is_known_to_have_failed: bool = True) -> None:
        self.error = error
        self.error_result = {"reason": "x"} if error and is_known_to_have_failed else None

    def result(self, **_: object) -> None:
        if self.error:
            raise self.error


def starting(*jobs: EndedJob) -> tuple[Callable[[str], Any], list[str]]:
    """A function that starts one of `jobs` after the other, and the ids that it was given."""
    waiting, ids = list(jobs), []

    def start(job_id: str) -> EndedJob:
        ids.append(job_id)
        return waiting.pop(0)

    return start, ids


def no_client() -> bigquery.Client:
    return None  # type: ignore[return-value]  # these jobs are never looked up


def test_a_job_that_lost_a_race_is_started_again_under_a_new_id() -> None:
    start, ids = starting(EndedJob(LOST_RACE), EndedJob(LOST_RACE), EndedJob())

    run_once(no_client(), start, RETRY)

    assert len(set(ids)) == 3


def test_a_job_that_failed_for_good_is_not_started_again() -> None:
    start, ids = starting(EndedJob(of(BadRequest, "no such column")))

    with pytest.raises(BadRequest, match="no such column"):
        run_once(no_client(), start, RETRY)

    assert len(ids) == 1


def test_a_job_of_unknown_fate_is_not_started_again() -> None:
    start, ids = starting(EndedJob(LOST_RACE, is_known_to_have_failed=False))

    with pytest.raises(BadRequest):
        run_once(no_client(), start, RETRY)

    assert len(ids) == 1


def test_a_statement_whose_first_answer_was_lost_runs_once(settings: Settings) -> None:
    client = bigquery_client(settings)
    warehouse = BigQuery(client)
    warehouse.create_dataset("tries", description="Of this test.", labels={})
    warehouse.execute("CREATE TABLE tries.counted (n INT64)")

    def start_and_lose_the_answer(job_id: str) -> bigquery.QueryJob:
        client.query("INSERT INTO tries.counted (n) VALUES (1)", job_id=job_id, job_retry=None).result()
        raise of(Conflict, "Already Exists: Job")

    job = run_once(client, start_and_lose_the_answer, RETRY)

    assert job.num_dml_affected_rows == 1
    assert warehouse.count_rows("tries", "counted") == 1


def test_a_named_statement_runs_once_however_many_run_it_at_once(settings: Settings) -> None:
    warehouse = BigQuery(bigquery_client(settings))
    warehouse.create_dataset("named", description="Of this test.", labels={})
    warehouse.execute("CREATE TABLE named.counted (n INT64)")
    insert = "INSERT INTO counted (n) VALUES (1)"

    for number in range(3):
        with ThreadPoolExecutor(4) as threads:
            affected = list(
                threads.map(lambda _: warehouse.execute_in("named", insert, (), f"name_{number}"), range(4))  # noqa: B023
            )
        assert affected == [1] * 4

    assert warehouse.count_rows("named", "counted") == 3
    assert [row["n"] for row in warehouse.query_in("named", "SELECT n FROM counted")] == [1] * 3


def test_a_name_under_which_a_job_has_failed_is_counted_on(settings: Settings) -> None:
    warehouse = BigQuery(bigquery_client(settings))
    warehouse.create_dataset("named", description="Of this test.", labels={})
    insert = "INSERT INTO counted (n) VALUES (1)"
    with pytest.raises(PermanentError):
        warehouse.execute_in("named", insert, (), "name")
    warehouse.execute("CREATE TABLE named.counted (n INT64)")

    assert warehouse.execute_in("named", insert, (), "name") == 1
    assert warehouse.execute_in("named", insert, (), "name") == 1
    assert warehouse.count_rows("named", "counted") == 1


def test_rows_are_listed_with_the_columns_asked_for(settings: Settings) -> None:
    warehouse = BigQuery(bigquery_client(settings))
    warehouse.create_dataset("listed", description="Of this test.", labels={})
    warehouse.execute("CREATE TABLE listed.rows (n INT64, word STRING, unasked STRING)")
    warehouse.execute("INSERT INTO listed.rows VALUES (1, 'one', 'x'), (2, NULL, 'y')")
    columns = [bigquery.SchemaField("n", "INT64"), bigquery.SchemaField("word", "STRING")]

    rows = warehouse.list_rows("listed", "rows", columns)

    listed = sorted((dict(row.items()) for row in rows), key=lambda row: int(row["n"]))
    assert listed == [{"n": 1, "word": "one"}, {"n": 2, "word": None}]
