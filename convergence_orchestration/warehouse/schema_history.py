"""The table `schema_versions`: which version of the catalogue every table has, one event for each table and version.

What belongs here: the events and the store. What makes a table as declared is `migrating.py`.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Final

from google.cloud.bigquery import ScalarQueryParameter

from convergence_orchestration.gcp.bigquery import BigQuery
from convergence_orchestration.warehouse.model import (
    CENTRAL_DATASET,
    TENANT_DATASET_PREFIX,
    TableSpec,
)

_TABLE: Final = "schema_versions"
_EVENT_IDS: Final = Path(__file__).with_name("schema_event_ids.sql").read_text("utf-8")


class VersionKind(StrEnum):
    """How a table came to its version. FOUND: it was so when somebody first looked."""

    CREATED = "CREATED"
    MIGRATED = "MIGRATED"
    FOUND = "FOUND"


@dataclass(frozen=True)
class VersionEvent:
    """A table is as its declared version says.

    Attributes:
        statement: what was run for it, empty for nothing.
    """

    dataset_id: str
    spec: TableSpec
    kind: VersionKind
    actor: str
    run_id: str
    recorded_at: datetime
    statement: str = ""

    @property
    def event_id(self) -> str:
        """One for each table, version and fingerprint, so that whoever says it again adds nothing."""
        return f"{self.dataset_id}.{self.spec.name}.{self.spec.version}.{self.spec.fingerprint}"

    def row(self) -> dict[str, object]:
        """The event as it is appended."""
        is_tenants = self.dataset_id != CENTRAL_DATASET
        return {
            "event_id": self.event_id,
            "dataset_id": self.dataset_id,
            "table_name": self.spec.name,
            "tenant_id": self.dataset_id.removeprefix(TENANT_DATASET_PREFIX) if is_tenants else None,
            "version": self.spec.version,
            "fingerprint": self.spec.fingerprint,
            "kind": str(self.kind),
            "statement": self.statement or None,
            "actor": self.actor,
            "run_id": self.run_id,
            "recorded_at": self.recorded_at,
        }


class SchemaHistory:
    """The events, over one BigQuery. Errors are those of `gcp.bigquery`; NOT_FOUND before the bootstrap."""

    def __init__(self, bigquery: BigQuery) -> None:
        self._bigquery = bigquery

    def event_ids(self, dataset_prefix: str) -> set[str]:
        """Ids of the events about datasets whose names start so."""
        rows = self._bigquery.stream(
            _EVENT_IDS, [ScalarQueryParameter("dataset_prefix", "STRING", dataset_prefix)]
        )
        return {row["event_id"] for row in rows}

    def append(self, events: Iterable[VersionEvent], known: Collection[str] = ()) -> int:
        """Append those whose ids are not `known`; how many."""
        rows = [event.row() for event in events if event.event_id not in known]
        if rows:
            self._bigquery.append(CENTRAL_DATASET, _TABLE, rows)
        return len(rows)
