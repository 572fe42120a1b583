"""The central dataset with its tables and views: made where missing, left alone where there, recreated when told to.

Every step looks first, so a bootstrap that was killed anywhere is finished by the next one. Nothing that exists is
altered: how it differs from the catalogue is for the checks to say.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.gcp.bigquery import BigQuery
from convergence_orchestration.warehouse.catalogue import to_bigquery, view_to_bigquery, views, views_over
from convergence_orchestration.warehouse.model import (
    CENTRAL_DATASET,
    MAX_CONCURRENT_CALLS,
    TableSpec,
    ViewSpec,
)
from convergence_orchestration.warehouse.snapshots import snapshot_central_tables

_LABELS = {"managed_by": "convergence-orchestration"}


class Action(StrEnum):
    """What a bootstrap did about a dataset or a table."""

    CREATED = "created"
    EXISTED = "existed"
    RECREATED = "recreated"


@dataclass(frozen=True)
class Removed:
    """What was deleted so that it is made anew.

    Attributes:
        tables: names of the tables deleted, with the dataset or alone.
        snapshots: `dataset.table` of the snapshot by the table's name.
    """

    dataset: bool = False
    tables: frozenset[str] = frozenset()
    snapshots: Mapping[str, str] = field(default_factory=dict)


NOTHING_REMOVED = Removed()


@dataclass(frozen=True)
class TableOutcome:
    """What a bootstrap did about one table.

    Attributes:
        rows: rows in the table by BigQuery's metadata, which leaves out what was streamed a moment ago.
        views: the views over it that were made or replaced.
        snapshot: `dataset.table` of the snapshot taken before it was recreated.
    """

    spec: TableSpec
    action: Action
    rows: int
    views: tuple[str, ...]
    snapshot: str | None = None


@contextmanager
def needs_bootstrap() -> Iterator[None]:
    """What reads or writes the central tables inside says what to do if they are not there.

    Raises:
        PermanentError: NOT_BOOTSTRAPPED instead of NOT_FOUND.
    """
    try:
        yield
    except PermanentError as error:
        if error.code is not ErrorCode.NOT_FOUND:
            raise
        raise PermanentError(
            ErrorCode.NOT_BOOTSTRAPPED,
            "Bootstrap the platform first: POST /api/v1/admin/bootstrap, or launch the job `bootstrap` in Dagster.",
        ) from error


def remove_dataset(bigquery: BigQuery, now: datetime) -> Removed:
    """Delete the central dataset with all that is in it, declared or not, after a snapshot of every table.

    Raises:
        As `snapshot_central_tables`, and then nothing is deleted.
    """
    if bigquery.get_dataset(CENTRAL_DATASET) is None:
        return NOTHING_REMOVED
    snapshots = snapshot_central_tables(bigquery, bigquery.list_tables(CENTRAL_DATASET), now)
    bigquery.delete_dataset(CENTRAL_DATASET)
    return Removed(dataset=True, tables=frozenset(snapshots), snapshots=snapshots)


def remove_tables(bigquery: BigQuery, names: Collection[str], now: datetime) -> Removed:
    """Delete these central tables after a snapshot of each; their views stay and work again afterwards.

    Raises:
        As `snapshot_central_tables`, and then nothing is deleted.
    """
    snapshots = snapshot_central_tables(bigquery, names, now)
    for name in snapshots:
        bigquery.delete_table(CENTRAL_DATASET, name)
    return Removed(tables=frozenset(snapshots), snapshots=snapshots)


def ensure_dataset(bigquery: BigQuery, removed: Removed = NOTHING_REMOVED) -> Action:
    """Make sure the central dataset exists.

    Raises:
        PermanentError: FAILED_PRECONDITION if it is in another location, where no query of ours would find it.
    """
    found = bigquery.get_dataset(CENTRAL_DATASET)
    if found is not None:
        _check_location(found.location, bigquery.location)
        return Action.EXISTED
    created = bigquery.create_dataset(
        CENTRAL_DATASET,
        description="The platform's own tables: tenants, keys, audit, health, releases.",
        labels=_LABELS,
    )
    return _action(created, removed.dataset)


def _check_location(found: str | None, wanted: str) -> None:
    if found is not None and found.upper() != wanted.upper():
        raise PermanentError(
            ErrorCode.FAILED_PRECONDITION,
            f"Set BIGQUERY_LOCATION={found}, or recreate the dataset: {CENTRAL_DATASET} is in {found} and not in {wanted}.",
        )


def ensure_tables(
    bigquery: BigQuery, specs: Sequence[TableSpec], removed: Removed = NOTHING_REMOVED
) -> Iterator[TableOutcome]:
    """Make sure these tables and the views over them exist, four at a time; each as soon as it is done.

    The first error ends it: what has not begun is left for the next bootstrap.
    """
    with ThreadPoolExecutor(MAX_CONCURRENT_CALLS) as pool:
        futures = [pool.submit(_ensure_table, bigquery, spec, removed) for spec in specs]
        try:
            for future in as_completed(futures):
                yield future.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _ensure_table(bigquery: BigQuery, spec: TableSpec, removed: Removed) -> TableOutcome:
    found = bigquery.get_table(CENTRAL_DATASET, spec.name)
    created = found is None and bigquery.create_table(to_bigquery(spec, bigquery.project, CENTRAL_DATASET))
    return TableOutcome(
        spec=spec,
        action=_action(created, spec.name in removed.tables),
        rows=int(found.num_rows or 0) if found else 0,
        views=tuple(view.name for view in views_over(spec.name, views()) if _ensure_view(bigquery, view)),
        snapshot=removed.snapshots.get(spec.name),
    )


def _ensure_view(bigquery: BigQuery, view: ViewSpec) -> bool:
    """Make the view, or make it anew if its text differs; whether that was necessary.

    It is deleted and created, for local-bigquery goes on serving the old text of a view that is patched. Nothing is
    granted on a view alone, so nothing is lost.
    """
    declared = view_to_bigquery(view, bigquery.project, CENTRAL_DATASET)
    found = bigquery.get_table(CENTRAL_DATASET, view.name)
    if found is not None and found.labels.get("definition") == view.digest:
        return False
    if found is not None:
        bigquery.delete_table(CENTRAL_DATASET, view.name)
    return bigquery.create_table(declared)


def _action(created: bool, was_removed: bool) -> Action:  # noqa: FBT001 two facts, one verdict
    if not created:
        return Action.EXISTED
    return Action.RECREATED if was_removed else Action.CREATED
