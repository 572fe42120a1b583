"""What keeps local-bigquery as quick as it was on its first day: old answers go, small files become one.

local-bigquery keeps the answer of each query as a table, and each append as a Parquet file, for ever, and reads all of them again.
What belongs here: when, and DuckLake's own calls. BigQuery itself keeps an answer for about 24 hours and merges storage unseen.
"""

import threading
import time
from collections.abc import Iterable
from typing import Final

import duckdb

from convergence_orchestration.logs import logger

ANSWERS_KEPT_SECONDS: Final = 600.0
"""So long the rest of an answer's pages may be asked for."""

SECONDS_BETWEEN_ROUNDS: Final = 60.0
MANY_FILES: Final = 50
"""A project with more Parquet files than this since the last round gets them merged."""

_SETTLED_SECONDS: Final = 600.0
"""So long a file that was merged into another is left for those who are reading it."""

_OLD_ANSWERS = """
    SELECT jobs.project_id, jobs.job_id
    FROM emulator.jobs AS jobs
    JOIN duckdb_tables() AS answers ON answers.table_name = concat(jobs.project_id, ':', jobs.job_id)
    WHERE answers.database_name = 'emulator' AND answers.schema_name = '_results' AND jobs.creation_time < ?
    """
_log = logger(__name__)


def keep_up(seconds: float = SECONDS_BETWEEN_ROUNDS) -> None:
    """Begin a round every so many seconds, in a thread that ends with the process."""

    def rounds() -> None:
        files: dict[str, int] = {}
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


def merge_files(known: dict[str, int]) -> list[str]:
    """Merge the small files of each project that got many since it was looked at last, as `known` has it; which projects."""
    from local_bigquery.engine import database  # noqa: PLC0415 as above

    merged = []
    for project_id in database.projects():
        lake = database.quote(f"__ducklake_metadata_{project_id}")
        count = f"SELECT count(*) FROM {lake}.ducklake_data_file WHERE end_snapshot IS NULL"  # noqa: S608 it is quoted
        if database.fetch(count)[0][0] - known.get(project_id, 0) < MANY_FILES:
            continue
        _call("ducklake_merge_adjacent_files", project_id)
        _call(
            "ducklake_cleanup_old_files",
            project_id,
            [f"older_than => now() - INTERVAL {_SETTLED_SECONDS:g} SECOND"],
        )
        known[project_id] = database.fetch(count)[0][0]
        merged.append(project_id)
    return merged


def _call(function: str, project_id: str, named: Iterable[str] = ()) -> None:
    from local_bigquery.engine import database  # noqa: PLC0415 as above

    words = ", ".join(["?", *named])
    try:
        database.execute(f"CALL {function}({words})", [project_id])
    except duckdb.Error as error:  # somebody wrote at the same time
        _log.info(
            "Local BigQuery's files are looked after later.", function=function, reason=type(error).__name__
        )
