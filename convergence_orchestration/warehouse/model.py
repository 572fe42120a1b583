"""What a declared table, a view and a difference are. No input or output here."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import Final

CENTRAL_DATASET: Final = "tenants"
"""The platform's own dataset."""

SNAPSHOT_DATASET: Final = "tenants_snapshots"
"""Where the central tables' snapshots go before anything is deleted."""

SNAPSHOT_KEPT: Final = timedelta(days=30)
"""BigQuery deletes a snapshot by itself after this."""

MAX_CONCURRENT_CALLS: Final = 4
"""Calls at once that change tables. BigQuery takes 10 tables.insert a second from one user; local-bigquery gets no
faster with more."""


TENANT_DATASET_PREFIX: Final = "tenant_"
"""What the name of every tenant's dataset starts with, and of no other."""


def tenant_dataset(tenant_id: str) -> str:
    """The dataset of one tenant."""
    return f"{TENANT_DATASET_PREFIX}{tenant_id}"


class ColumnType(StrEnum):
    """BigQuery's scalar types by their GoogleSQL names."""

    STRING = "STRING"
    BYTES = "BYTES"
    INT64 = "INT64"
    FLOAT64 = "FLOAT64"
    NUMERIC = "NUMERIC"
    BIGNUMERIC = "BIGNUMERIC"
    BOOL = "BOOL"
    TIMESTAMP = "TIMESTAMP"
    DATE = "DATE"
    TIME = "TIME"
    DATETIME = "DATETIME"
    JSON = "JSON"


class ColumnMode(StrEnum):
    """Whether a column may be empty, must be filled, or holds a list."""

    NULLABLE = "NULLABLE"
    REQUIRED = "REQUIRED"
    REPEATED = "REPEATED"


class Granularity(StrEnum):
    """How long a time one partition covers."""

    HOUR = "HOUR"
    DAY = "DAY"
    MONTH = "MONTH"
    YEAR = "YEAR"


@dataclass(frozen=True)
class Column:
    """One column. `type` is a GoogleSQL name; found columns may have types that cannot be declared."""

    name: str
    type: str
    mode: ColumnMode
    description: str = field(default="", compare=False)


@dataclass(frozen=True)
class Partitioning:
    """By which column a table is partitioned, and after how many days a partition is deleted (None: never)."""

    column: str
    granularity: Granularity = Granularity.DAY
    expiration_days: int | None = None


@dataclass(frozen=True)
class TableSpec:
    """One table as the catalogue declares it.

    Attributes:
        version: counts up with each change of the columns, the partitioning or the clustering.
    """

    name: str
    description: str
    columns: tuple[Column, ...]
    partitioning: Partitioning | None = None
    clustering: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    version: int = 1

    @property
    def fingerprint(self) -> str:
        """Identifies the columns (in any order), the partitioning and the clustering; not what is said about them."""
        columns = sorted(f"{column.name} {column.type} {column.mode}" for column in self.columns)
        by = self.partitioning
        partitions = f"{by.column} {by.granularity} {by.expiration_days}" if by else "-"
        text = "\n".join((*columns, partitions, " ".join(self.clustering)))
        return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class FoundTable:
    """One table as BigQuery tells of it.

    Attributes:
        partitioning: only the column's name where INFORMATION_SCHEMA told of the table, which knows no more.
        kind: TABLE, VIEW and so on; INFORMATION_SCHEMA.COLUMNS does not say, so there it is TABLE.
    """

    columns: tuple[Column, ...]
    partitioning: Partitioning | str | None = None
    clustering: tuple[str, ...] = ()
    kind: str = "TABLE"


@dataclass(frozen=True)
class ViewSpec:
    """One view of the central dataset.

    Attributes:
        sql: the query, whose tables are written `tenants.<name>`.
        reads: names of the tables and views that it reads.
    """

    name: str
    description: str
    sql: str
    reads: frozenset[str]

    @property
    def digest(self) -> str:
        """Identifies the text: BigQuery may keep a query in another spelling than it was given."""
        return hashlib.sha256(f"{self.description}\n{self.sql}".encode()).hexdigest()[:16]


@dataclass(frozen=True)
class SchemaDifference:
    """One way in which a table is not as declared.

    Attributes:
        column: the column, or `(table)`, `(partitioning)`, `(clustering)`.
        declared, found: both sides in words, `-` for nothing.
    """

    table: str
    column: str
    declared: str
    found: str
