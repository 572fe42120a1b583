"""Runs that failed of late and that Dagster does not try again.

What belongs here: which failed runs count. Asking Dagster is the sensor's business.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from convergence_orchestration.health.alerting.model import Metric, Observation, Seen

NAME = "runs"
KEPT = timedelta(minutes=15)
"""So long a failed run is bad news; an alert resolves when no run of the job has failed for that long."""

OTHERS_BUSINESS = frozenset({"tenant_pipeline"})
"""Jobs whose failures are told to somebody else: a tenant sees those of its own pipelines."""


@dataclass(frozen=True)
class FailedRun:
    """A run that failed for good, by its last attempt; `at` is UTC."""

    run_id: str
    job: str
    at: datetime


def of_runs(failed: Iterable[FailedRun], environment: str, now: datetime) -> Seen:
    """How many runs of each job failed within `KEPT`; a job without any is not among them."""
    by_job: dict[str, list[FailedRun]] = {}
    for run in sorted(failed, key=lambda one: one.at, reverse=True):
        if run.job not in OTHERS_BUSINESS and now - run.at <= KEPT:
            by_job.setdefault(run.job, []).append(run)
    observations = tuple(
        Observation(
            Metric.FAILED_RUNS,
            environment,
            job,
            float(len(runs)),
            f"The last one is {runs[0].run_id}, at {runs[0].at:%H:%M:%S} UTC.",
        )
        for job, runs in by_job.items()
    )
    return Seen(observations, frozenset({Metric.FAILED_RUNS}))
