"""The platform's health as Dagster's catalogue shows it: the asset `health_status`.

What belongs here: the asset's words, and telling Dagster about one round of probes. When that is done is `jobs.py`.
"""

import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import dagster as dg

from convergence_orchestration.health.model import ProbeResult, ProbeStatus
from convergence_orchestration.health.picture import data_uri, strips

HEALTH_GROUP = "health"
HEALTH_STATUS = "health_status"
SHOWN = timedelta(hours=1)
"""So far back goes the picture."""


def health_assets() -> list[dg.AssetSpec]:
    """What `definitions.py` merges."""
    return [
        dg.AssetSpec(
            HEALTH_STATUS,
            group_name=HEALTH_GROUP,
            kinds={"python"},
            description="What the probes found: the API at each of its addresses, KMS, Secret Manager, BigQuery, Dagster "
            "itself, certificates. The job `health_check` looks every minute; the table `tenants.health_checks` keeps it all. "
            "Unknown is never healthy.",
        )
    ]


def materialize_health(
    context: dg.OpExecutionContext,
    results: Sequence[ProbeResult],
    history: Sequence[ProbeResult],
    now: datetime,
    trouble: str = "",
) -> None:
    """Show one round in the catalogue, and all of `history`; `trouble` says why the round is not kept in the table."""
    counts = {status: sum(one.status is status for one in results) for status in ProbeStatus}
    metadata: dict[str, Any] = {status.value.lower(): count for status, count in counts.items()}
    metadata["processor_seconds"] = round(time.process_time(), 3)  # of the run's own process until now
    if trouble:
        metadata["not_kept"] = trouble
    picture = strips(history, now - SHOWN, now)
    metadata["probes"] = dg.MetadataValue.table([_record(one) for one in sorted(results, key=_worst_first)])
    metadata["last_hour"] = dg.MetadataValue.md(f"![what the probes found lately]({data_uri(picture)})")
    context.log_event(dg.AssetMaterialization(HEALTH_STATUS, metadata=metadata))


def _worst_first(result: ProbeResult) -> tuple[bool, str, str, str]:
    return (result.status is ProbeStatus.HEALTHY, result.environment, result.probe, result.target)


def _record(result: ProbeResult) -> dg.TableRecord:
    measured = ", ".join(f"{name} {value:g}" for name, value in result.measured.items())
    return dg.TableRecord(
        {
            "environment": result.environment,
            "probe": result.probe.value,
            "target": result.target,
            "status": result.status.value,
            "ms": "" if result.latency_ms is None else f"{result.latency_ms:.0f}",
            "what": result.message,
            "measured": measured,
        }
    )
