"""What a backup is, and whose tables it holds. No input or output here."""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Final, Self

from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.warehouse.catalogue import central_tables, tenant_tables
from convergence_orchestration.warehouse.model import (
    CENTRAL_DATASET,
    TENANT_DATASET_PREFIX,
    TableSpec,
    tenant_dataset,
)

BACKUP_DATASET: Final = "tenants_backups"
"""Where backups and the list of them are: not in the dataset that is restored, which may be deleted."""

LEFT_OUT: Final = frozenset({"sealed_keys"})
"""No backup has these. A copy of a sealed key is deleted with its secret, and an older state must not bring it back."""

_CENTRAL: Final = "central"
_TENANT_ID: Final = re.compile(r"[a-z][a-z0-9_]{2,49}")


@dataclass(frozen=True)
class Scope:
    """Whose tables: the platform's own, or those of one tenant."""

    tenant_id: str | None = None

    @classmethod
    def of(cls, tenant_id: str) -> Self:
        """The scope of a tenant; empty, the platform's own tables.

        Raises:
            PermanentError: INVALID_TENANT_ID.
        """
        if tenant_id and not _TENANT_ID.fullmatch(tenant_id):
            raise PermanentError(
                ErrorCode.INVALID_TENANT_ID, f"Correct the tenant's id: {tenant_id!r} is none."
            )
        return cls(tenant_id or None)

    @classmethod
    def of_dataset(cls, dataset_id: str) -> Self:
        """The scope of `dataset_id`."""
        return cls(None if dataset_id == CENTRAL_DATASET else dataset_id.removeprefix(TENANT_DATASET_PREFIX))

    @property
    def dataset_id(self) -> str:
        """Where the tables are."""
        return tenant_dataset(self.tenant_id) if self.tenant_id else CENTRAL_DATASET

    @property
    def in_words(self) -> str:
        """For a sentence."""
        return f"tenant {self.tenant_id}" if self.tenant_id else "the central tables"

    @property
    def specs(self) -> tuple[TableSpec, ...]:
        """The tables as the catalogue declares them, without those that no backup has."""
        declared = tenant_tables() if self.tenant_id else central_tables()
        return tuple(spec for spec in declared if spec.name not in LEFT_OUT)

    def backup_name(self, asked_at: datetime, run_id: str) -> str:
        """`central_20261123T120000Z_1a2b3c4d`: the same for a run that is tried again, another for any other run."""
        begins = tenant_dataset(self.tenant_id) if self.tenant_id else _CENTRAL
        return f"{begins}_{asked_at.astimezone(UTC):%Y%m%dT%H%M%SZ}_{run_id.replace('-', '')[:8]}"


@dataclass(frozen=True)
class BackedUpTable:
    """One table of a backup.

    Attributes:
        snapshot: `dataset.table` of the copy.
        rows, checksum: of the copy, as `gcp.row_sql.select_checksum` counts.
        version: of the catalogue's declaration at that time.
        is_query_copy: the table had rows that BigQuery had only just been streamed, which a snapshot leaves out: they were
            copied by a query.
    """

    name: str
    snapshot: str
    rows: int
    checksum: str
    version: int
    is_query_copy: bool


@dataclass(frozen=True)
class Backup:
    """A whole backup; times are UTC.

    Attributes:
        taken_at: when it was asked for; the copies are a little younger, and not all of the same moment.
        reason: why it was taken, in words.
    """

    name: str
    dataset_id: str
    environment: str
    taken_at: datetime
    expires_at: datetime
    run_id: str
    reason: str
    tables: tuple[BackedUpTable, ...]

    @property
    def scope(self) -> Scope:
        """Whose tables it holds."""
        return Scope.of_dataset(self.dataset_id)

    @property
    def rows(self) -> int:
        """Rows of all tables."""
        return sum(table.rows for table in self.tables)

    def table(self, name: str) -> BackedUpTable | None:
        """What it has of a table."""
        return next((table for table in self.tables if table.name == name), None)

    def is_expired(self, now: datetime) -> bool:
        """Whether BigQuery has deleted it, or may at any moment."""
        return self.expires_at <= now


def tables_as_text(tables: tuple[BackedUpTable, ...]) -> str:
    """The tables as the list of backups stores them."""
    return json.dumps([asdict(table) for table in tables])


def tables_from_text(text: str) -> tuple[BackedUpTable, ...]:
    """What `tables_as_text` wrote."""
    listed: list[Mapping[str, Any]] = json.loads(text)
    return tuple(BackedUpTable(**each) for each in listed)
