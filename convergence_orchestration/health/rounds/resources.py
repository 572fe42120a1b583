"""Forgetting runs that come every minute: Dagster keeps each for ever, some 170 kB a run, 240 MB a day.

What belongs here: deleting a job's old runs in Dagster. What they found is kept in `tenants.health_checks`.
"""

import shutil
from datetime import datetime, timedelta
from pathlib import Path

import dagster as dg

SUCCEEDED_KEPT = timedelta(hours=2)
OTHERS_KEPT = timedelta(days=1)
"""Whoever looks in the morning finds what failed in the night."""
AT_ONCE = 3
"""More than one comes meanwhile, so that the rest grows less in the end; few, so that no round gets slow."""

_OTHERS = [dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]


def forget_rounds(instance: dg.DagsterInstance, job_name: str, now: datetime) -> int:
    """Delete the oldest runs of a job that are not kept any longer, a few at once; how many these were."""
    succeeded = _ended(job_name, [dg.DagsterRunStatus.SUCCESS], now - SUCCEEDED_KEPT)
    others = _ended(job_name, _OTHERS, now - OTHERS_KEPT)
    old = [
        record.dagster_run.run_id
        for wanted in (succeeded, others)
        for record in instance.get_run_records(wanted, limit=AT_ONCE, ascending=True)
    ]
    for run_id in old:
        instance.delete_run(run_id)
        _remove_files(Path(instance.root_directory), run_id)
    return len(old)


def _ended(job_name: str, statuses: list[dg.DagsterRunStatus], before: datetime) -> dg.RunsFilter:
    return dg.RunsFilter(job_name=job_name, statuses=statuses, created_before=before)


def _remove_files(home: Path, run_id: str) -> None:
    """What Dagster's storage on disk leaves of a deleted run: its own database, empty but as large, and its logs."""
    for path in (home / "history" / "runs").glob(f"{run_id}.db*"):
        path.unlink(missing_ok=True)
    shutil.rmtree(home / "storage" / run_id, ignore_errors=True)
