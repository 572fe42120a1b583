"""A BigQuery job that runs once, however often its request must be repeated.

We choose the job's id, so a repeated request is answered 409 and we ask for that job. A job that BigQuery itself gave
up for now (a lost race on the table, a rate limit) changed nothing, so it is started again under a new id. A job with a
name of its caller's choice runs once whoever starts it: all who start it count through the same ids.
(Dagster's jobs are in files named `jobs.py`; nothing of theirs is here.)
"""

from collections.abc import Callable, Iterator
from itertools import count
from typing import cast
from uuid import uuid4

from google.api_core.exceptions import Conflict
from google.api_core.retry import Retry
from google.cloud import bigquery

from convergence_orchestration.gcp.deadlines import JOB_SECONDS, TOTAL_SECONDS
from convergence_orchestration.gcp.translate import may_pass


def run_once[Job: (bigquery.QueryJob, bigquery.CopyJob)](
    client: bigquery.Client, start: Callable[[str], Job], retry: Retry, name: str | None = None
) -> Job:
    """Start a job and wait for its end, JOB_SECONDS at most.

    Args:
        client: asked for the job when its request was repeated.
        start: submits the job under the id that it is given.
        retry: for each request.
        name: of letters, digits, _ and -, at most 1,000: no other job of this name succeeds in this project and location
            for months; None: a name that nobody else has.

    Raises:
        Google's exceptions, for `translate.py`.
    """
    jobs: list[Job] = []
    ids = _ids(name)

    def attempt() -> Job:
        jobs.clear()
        jobs.append(_started(client, start, retry, ids))
        jobs[0].result(retry=retry, timeout=JOB_SECONDS)
        return jobs[0]

    def gave_up_for_now(error: Exception) -> bool:
        return bool(jobs) and jobs[0].error_result is not None and may_pass(error)

    return Retry(predicate=gave_up_for_now, initial=0.2, maximum=5.0, timeout=JOB_SECONDS)(attempt)()


def _started[Job: (bigquery.QueryJob, bigquery.CopyJob)](
    client: bigquery.Client, start: Callable[[str], Job], retry: Retry, ids: Iterator[str]
) -> Job:
    """The job under the next id of which no job has failed: a failed one changed nothing."""
    while True:
        job_id = next(ids)
        try:
            return start(job_id)
        except (
            Conflict
        ):  # our own earlier request arrived and only its answer did not, or another has this name
            job = client.get_job(job_id, retry=retry, timeout=TOTAL_SECONDS)
        if job.error_result is None:
            return cast("Job", job)


def _ids(name: str | None) -> Iterator[str]:
    return (f"convergence_{uuid4()}" if name is None else f"{name}_{number}" for number in count(1))
