"""The real schemas of many datasets with the same declared tables, read by one query and compared as they arrive.

What belongs here: the query and the comparison of its rows. Which datasets there should be is for the caller to say.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Final, NamedTuple

from google.cloud.bigquery import ArrayQueryParameter, ScalarQueryParameter

from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.gcp.bigquery import BigQuery
from convergence_orchestration.gcp.sql import columns_of_region
from convergence_orchestration.warehouse.drift import NOTHING, differences
from convergence_orchestration.warehouse.found import ColumnFacts, found_by_columns
from convergence_orchestration.warehouse.model import (
    TENANT_DATASET_PREFIX,
    FoundTable,
    SchemaDifference,
    TableSpec,
)

MOST_NAMED: Final = 1_000
"""More datasets than this are not named in the query: it reads all of them, and the others are passed over."""

WHOLE_DATASET: Final = "(dataset)"


class ColumnRow(NamedTuple):
    """One row of the answer."""

    dataset_id: str
    table: str
    facts: ColumnFacts


@dataclass(frozen=True)
class TableDrift:
    """A table that is not as declared; `found` is None where it is missing."""

    spec: TableSpec
    found: FoundTable | None
    differences: tuple[SchemaDifference, ...]


@dataclass(frozen=True)
class DatasetDrift:
    """A dataset with tables that are not as declared.

    Attributes:
        has_tables: False if no table of it was found at all, declared or not; then the dataset may be missing too.
        tables: those that differ.
    """

    dataset_id: str
    tables: tuple[TableDrift, ...]
    has_tables: bool = True

    @property
    def differences(self) -> tuple[SchemaDifference, ...]:
        """One for a dataset without any table, otherwise those of its tables."""
        if not self.has_tables:
            return (SchemaDifference(WHOLE_DATASET, WHOLE_DATASET, f"{len(self.tables)} tables", NOTHING),)
        return tuple(difference for table in self.tables for difference in table.differences)


@dataclass(frozen=True)
class FleetDrift:
    """The whole comparison.

    Attributes:
        drifting: datasets that differ, by name.
        datasets: how many were to be compared.
        tables, columns: how many real ones were compared.
        others: datasets that were found and were not to be compared, for example of tenants being made or deleted.
    """

    drifting: tuple[DatasetDrift, ...]
    datasets: int
    tables: int
    columns: int
    others: int


def fleet_drift(
    bigquery: BigQuery, expected: Collection[str], specs: Sequence[TableSpec], most_named: int = MOST_NAMED
) -> FleetDrift:
    """Compare the tenants' datasets of BigQuery's location with the declared tables, by one query.

    INFORMATION_SCHEMA may be some minutes behind a change. Tables that are not declared are left out.

    Args:
        bigquery: whose location is asked.
        expected: the datasets that should be there; others are counted alone.
        specs: the tables that each of them should have.
        most_named: more datasets than this are not named in the query.

    Raises:
        PermanentError: FAILED_PRECONDITION if nothing at all is to be seen, which is no finding about the tenants.
        As `gcp.bigquery`: a failed read is no answer.
    """
    if not expected:
        return FleetDrift((), 0, 0, 0, 0)
    drift = compare(_rows(bigquery, expected, most_named), expected, specs)
    if not drift.tables and len(expected) > 1:
        raise PermanentError(
            ErrorCode.FAILED_PRECONDITION,
            f"Check BIGQUERY_LOCATION and this account's roles: none of the {len(expected)} tenants' datasets shows a "
            f"table in {bigquery.location}. INFORMATION_SCHEMA leaves out what the account may not see.",
        )
    return drift


def compare(rows: Iterable[ColumnRow], expected: Collection[str], specs: Sequence[TableSpec]) -> FleetDrift:
    """Compare rows, those of a dataset and those of a table each in one piece, as they arrive.

    Tables that look alike are compared once, so that ten thousand tenants cost little more than reading of them.
    """
    comparison = _Comparison(specs)
    wanted, seen, others = frozenset(expected), set[str](), 0
    drifting: list[DatasetDrift] = []
    for dataset_id, of_dataset in groupby(rows, key=itemgetter(0)):
        if dataset_id not in wanted:
            others += 1
            continue
        seen.add(dataset_id)
        differing = comparison.of_dataset(of_dataset)
        if differing:
            drifting.append(DatasetDrift(dataset_id, differing))
    nothing = tuple(TableDrift(spec, None, differences(spec, None)) for spec in specs)
    drifting.extend(DatasetDrift(missing, nothing, has_tables=False) for missing in wanted - seen)
    drifting.sort(key=lambda drift: drift.dataset_id)
    return FleetDrift(tuple(drifting), len(wanted), comparison.tables, comparison.columns, others)


class _Comparison:
    """Compares dataset by dataset and remembers what a table that looked so was found to be."""

    def __init__(self, specs: Sequence[TableSpec]) -> None:
        self.tables = 0
        self.columns = 0
        self._specs = {spec.name: spec for spec in specs}
        self._known: dict[tuple[str, tuple[ColumnFacts, ...]], TableDrift] = {}

    def of_dataset(self, rows: Iterator[ColumnRow]) -> tuple[TableDrift, ...]:
        """The declared tables that differ or are missing, in the order of their declarations."""
        found: dict[str, TableDrift] = {}
        for table, of_table in groupby(rows, key=itemgetter(1)):
            spec = self._specs.get(table)
            if spec is not None:
                found[table] = self._of_table(spec, tuple(map(itemgetter(2), of_table)))
        return tuple(
            drift
            for name, spec in self._specs.items()
            if (drift := found.get(name) or TableDrift(spec, None, differences(spec, None))).differences
        )

    def _of_table(self, spec: TableSpec, facts: tuple[ColumnFacts, ...]) -> TableDrift:
        self.tables += 1
        self.columns += len(facts)
        known = self._known.get((spec.name, facts))
        if known is None:
            found = found_by_columns(facts)
            known = TableDrift(spec, found, differences(spec, found))
            self._known[spec.name, facts] = known
        return known


def _rows(bigquery: BigQuery, expected: Collection[str], most_named: int) -> Iterator[ColumnRow]:
    named = sorted(expected) if len(expected) <= most_named else []
    answer = bigquery.stream(
        columns_of_region(bigquery.project, bigquery.location),
        [
            ScalarQueryParameter("prefix", "STRING", TENANT_DATASET_PREFIX),
            ArrayQueryParameter("datasets", "STRING", named),
        ],
    )
    for row in answer:
        dataset_id, table, *facts = row.values()  # type: ignore[no-untyped-call]
        yield ColumnRow(dataset_id, table, ColumnFacts(*facts))
