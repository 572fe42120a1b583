"""What probes found, as it is kept: `tenants.health_checks`, of which rows are appended and never changed.

What belongs here: appending results and reading them back. How they are found is `probes/`.
"""

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from google.cloud.bigquery import Row, ScalarQueryParameter

from convergence_orchestration.gcp.bigquery import BigQuery
from convergence_orchestration.health.model import Measure, ProbeName, ProbeResult, ProbeStatus
from convergence_orchestration.warehouse.bootstrap import needs_bootstrap
from convergence_orchestration.warehouse.model import CENTRAL_DATASET

_TABLE = "health_checks"
_HERE = Path(__file__)
_HISTORY = _HERE.with_name("health_checks_history.sql").read_text(encoding="utf-8")
_LATEST = _HERE.with_name("health_checks_latest.sql").read_text(encoding="utf-8")


class HealthChecks:
    """The table over one BigQuery. Errors are those of `gcp.bigquery`; NOT_BOOTSTRAPPED before the bootstrap."""

    def __init__(self, bigquery: BigQuery) -> None:
        self._bigquery = bigquery

    def append(self, results: Iterable[ProbeResult], run_id: str) -> None:
        """Keep what the probes of one run found; the same run's again counts once, as it was kept first."""
        rows = [row_of(result, run_id) for result in results]
        with needs_bootstrap():
            self._bigquery.append(CENTRAL_DATASET, _TABLE, rows)

    def history(self, since: datetime, environment: str = "") -> list[ProbeResult]:
        """Everything that was found since then, the oldest first; "" is every environment."""
        return self._read(_HISTORY, since, environment)

    def latest(self, since: datetime, environment: str = "") -> list[ProbeResult]:
        """What was found last of each target, by name; what was not looked at since then is missing."""
        return self._read(_LATEST, since, environment)

    def _read(self, sql: str, since: datetime, environment: str) -> list[ProbeResult]:
        parameters = (
            ScalarQueryParameter("since", "TIMESTAMP", since),
            ScalarQueryParameter("environment", "STRING", environment),
        )
        with needs_bootstrap():
            rows = self._bigquery.query(sql, parameters)
        found = (result_of(row) for row in rows)
        return [result for result in found if result is not None]


def event_id_of(result: ProbeResult, run_id: str) -> str:
    """The same for the same look of the same run."""
    return str(uuid5(NAMESPACE_URL, f"{run_id}/{result.environment}/{result.probe}/{result.target}"))


def row_of(result: ProbeResult, run_id: str) -> dict[str, object]:
    """The result as a row; what is unknown is left out."""
    row: dict[str, object | None] = {
        "event_id": event_id_of(result, run_id),
        "probe": result.probe.value,
        "target": result.target,
        "environment": result.environment,
        "revision": result.revision,
        "status": result.status.value,
        "latency_ms": result.latency_ms,
        "status_code": result.status_code,
        "message": result.message or None,
        "measured": json.dumps(dict(result.measured)) if result.measured else None,
        "run_id": run_id,
        "recorded_at": result.at,
    }
    return {name: value for name, value in row.items() if value is not None}


def result_of(row: Row | Mapping[str, Any]) -> ProbeResult | None:
    """The result that a row says; None for a probe that this version does not know."""
    if row["probe"] not in ProbeName or row["status"] not in ProbeStatus:
        return None
    measured = json.loads(row["measured"]) if row["measured"] else {}
    return ProbeResult(
        probe=ProbeName(row["probe"]),
        target=row["target"],
        environment=row["environment"],
        status=ProbeStatus(row["status"]),
        at=row["recorded_at"],
        revision=row["revision"],
        latency_ms=row["latency_ms"],
        status_code=row["status_code"],
        message=row["message"] or "",
        measured={Measure(name): float(value) for name, value in measured.items() if name in Measure},
    )
