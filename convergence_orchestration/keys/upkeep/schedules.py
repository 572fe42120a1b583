"""When sealed copies are looked after: every five minutes if one is due, and daily in any case.

What belongs here: the times, and the look that saves a run. What is due is decided in `sweeping.py`.
"""

from datetime import UTC, datetime

import dagster as dg

from convergence_orchestration.errors import ConvergenceError, ErrorCode
from convergence_orchestration.gcp.resources import BigQueryConnection
from convergence_orchestration.keys.ledger import KeyEvents
from convergence_orchestration.keys.sealed_store import SealedKeys
from convergence_orchestration.keys.upkeep.jobs import reseal_keys, sweep_sealed_keys
from convergence_orchestration.keys.upkeep.sweeping import what_is_due

DAILY = (3, 35)
"""UTC hour and minute of the tick that sweeps in any case: bytes without a copy are found by a run alone."""


@dg.schedule(
    name="sealed_key_sweep",
    job=sweep_sealed_keys,
    cron_schedule="*/5 * * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="A copy of a key is wiped within five minutes after nobody may fetch it any more. A look at no copies is free; "
    "while copies wait, each look asks the ledger (10 MB).",
)
def sealed_key_sweep(
    context: dg.ScheduleEvaluationContext, bigquery: BigQueryConnection
) -> dg.RunRequest | dg.SkipReason:
    """A run if a copy is due, or once a day."""
    tick = context.scheduled_execution_time
    if (tick.hour, tick.minute) == DAILY:
        return dg.RunRequest()
    try:
        asked = bigquery.bigquery()
        due = what_is_due(SealedKeys(asked), KeyEvents(asked), datetime.now(UTC))
    except ConvergenceError as error:
        if error.code is not ErrorCode.NOT_FOUND:
            raise
        return dg.SkipReason("The platform is not bootstrapped yet.")
    return dg.RunRequest() if due else dg.SkipReason("No copy of a key is due.")


daily_resealing = dg.ScheduleDefinition(
    name="daily_resealing",
    job=reseal_keys,
    cron_schedule="47 3 * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="What an older version of the KMS key sealed is sealed anew within a day after the key's rotation.",
)


def upkeep_schedules() -> list[dg.ScheduleDefinition]:
    """What `definitions.py` merges."""
    return [sealed_key_sweep, daily_resealing]
