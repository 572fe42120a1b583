"""What keeps local-bigquery as quick as it was on its first day: old answers go, small files become one.

local-bigquery keeps the answer of each query as a table, and each append as a Parquet file, for ever, and reads all of them again.
What belongs here: when, and DuckLake's own calls. BigQuery itself keeps an answer for about 24 hours and merges storage unseen.
"""

import threading
import time
from typing import Final

import duckdb

from convergence_orchestration.logs import logger

ANSWERS_KEPT_SECONDS: Final = 600.0
"""So long the rest of an answer's pages may be asked for."""

SECONDS_BETWEEN_ROUNDS: Final = 60.0
MANY_FILES: Final = 50
"""A table that got so many Parquet files since they were merged last gets them merged."""

_SETTLED_SECONDS: Final = 600.0
"""So long a file that was merged into another is left for those who are reading it."""

_OLD_ANSWERS = """
    SELECT jobs.project_id, jobs.job_id
    FROM emulator.jobs AS jobs
    JOIN duckdb_tables() AS answers ON answers.table_name = concat(jobs.project_id, ':', jobs.job_id)
    WHERE answers.database_name = 'emulator' AND answers.schema_name = '_results' AND jobs.creation_time < ?
    """
_FILES = """
    SELECT dataset.schema_name, held.table_name, count(*)
    FROM {lake}.ducklake_data_file AS file
    JOIN {lake}.ducklake_table AS held USING (table_id)
    JOIN {lake}.ducklake_schema AS dataset USING (schema_id)
    WHERE file.end_snapshot IS NULL AND held.end_snapshot IS NULL AND dataset.end_snapshot IS NULL
    GROUP BY ALL
    """
_log = logger(__name__)

type Table = tuple[str, str, str]
"""Project, dataset and table."""


def keep_up(seconds: float = SECONDS_BETWEEN_ROUNDS) -> None:
    """Begin a round every so many seconds, in a thread that ends with the process."""

    def rounds() -> None:
        files: dict[Table, int] = {}
        while True:
            time.sleep(seconds)
            try:
                forget_answers(time.time() - ANSWERS_KEPT_SECONDS)
                merge_files(files)
            except Exception:  # noqa: BLE001 the next round tries again
                _log.exception("Local BigQuery's files could not be looked after.")

    threading.Thread(target=rounds, name="upkeep of local BigQuery", daemon=True).start()


def forget_answers(before: float) -> int:
    """Drop the answers of the queries that began before this time, in seconds since 1970; how many."""
    from local_bigquery.catalog import tables  # noqa: PLC0415 it opens its database when it is imported
    from local_bigquery.engine import database  # noqa: PLC0415

    old = database.fetch(_OLD_ANSWERS, [int(before * 1000)])
    for project_id, job_id in old:
        tables.delete(project_id, tables.RESULTS, job_id)
    return len(old)


def merge_files(known: dict[Table, int]) -> list[Table]:
    """Merge the small files of each table that got many since it was looked at last, as `known` has it; which tables.

    Nothing else changes the table meanwhile: a statement that had begun before would lose its race.
    """
    from local_bigquery.engine import database  # noqa: PLC0415 as above

    merged: list[Table] = []
    for project_id in database.projects():
        due = [
            table for table, count in _files(project_id).items() if count - known.get(table, 0) >= MANY_FILES
        ]
        for table in due:
            _, dataset_id, table_id = table
            with database.writing(*table):
                _call("ducklake_merge_adjacent_files(?, ?, schema => ?)", project_id, table_id, dataset_id)
        if due:
            _call(
                f"ducklake_cleanup_old_files(?, older_than => now() - INTERVAL {_SETTLED_SECONDS:g} SECOND)",
                project_id,
            )
            known.update({table: count for table, count in _files(project_id).items() if table in due})
        merged += due
    return merged


def _files(project_id: str) -> dict[Table, int]:
    """How many files each table of a project has."""
    from local_bigquery.engine import database  # noqa: PLC0415 as above

    rows = database.fetch(_FILES.format(lake=database.quote(f"__ducklake_metadata_{project_id}")))
    return {(project_id, dataset_id, table_id): count for dataset_id, table_id, count in rows}


def _call(call: str, *arguments: str) -> None:
    from local_bigquery.engine import database  # noqa: PLC0415 as above

    try:
        database.execute(f"CALL {call}", list(arguments))
    except duckdb.Error as error:
        _log.info("Local BigQuery's files are looked after later.", call=call, reason=type(error).__name__)
