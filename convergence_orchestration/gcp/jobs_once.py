"""A BigQuery job that runs once, however often its request must be repeated.

We choose the job's id, so a repeated request is answered 409 and we ask for that job. A job that BigQuery itself gave
up for now (a lost race on the table, a rate limit) changed nothing, so it is started again under a new id.
(Dagster's jobs are in files named `jobs.py`; nothing of theirs is here.)
"""

from collections.abc import Callable
from typing import cast
from uuid import uuid4

from google.api_core.exceptions import Conflict
from google.api_core.retry import Retry
from google.cloud import bigquery

from convergence_orchestration.gcp.deadlines import JOB_SECONDS, TOTAL_SECONDS
from convergence_orchestration.gcp.translate import may_pass


def run_once[Job: (bigquery.QueryJob, bigquery.CopyJob)](
    client: bigquery.Client, start: Callable[[str], Job], retry: Retry
) -> Job:
    """Start a job and wait for its end, JOB_SECONDS at most.

    Args:
        client: asked for the job when its request was repeated.
        start: submits the job under the id that it is given.
        retry: for each request.

    Raises:
        Google's exceptions, for `translate.py`.
    """
    jobs: list[Job] = []

    def attempt() -> Job:
        jobs.clear()
        jobs.append(_started(client, start, retry))
        jobs[0].result(retry=retry, timeout=JOB_SECONDS)
        return jobs[0]

    def gave_up_for_now(error: Exception) -> bool:
        return bool(jobs) and jobs[0].error_result is not None and may_pass(error)

    return Retry(predicate=gave_up_for_now, initial=0.2, maximum=5.0, timeout=JOB_SECONDS)(attempt)()


def _started[Job: (bigquery.QueryJob, bigquery.CopyJob)](
    client: bigquery.Client, start: Callable[[str], Job], retry: Retry
) -> Job:
    job_id = f"convergence_{uuid4()}"
    try:
        return start(job_id)
    except Conflict:  # our own earlier request arrived, only its answer did not
        return cast("Job", client.get_job(job_id, retry=retry, timeout=TOTAL_SECONDS))
