"""The declared tables and views, from the files beside this one, and their form for BigQuery.

What belongs here: loading and converting. The rules of a file are in `declarations.py`.
"""

import re
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Final

from google.cloud import bigquery

from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.warehouse.declarations import TableFile, read_table_file
from convergence_orchestration.warehouse.model import Column, Partitioning, TableSpec, ViewSpec
from convergence_orchestration.warehouse.versions import check_versions, read_record

FILES: Final = Path(__file__).with_name("catalogue")
"""The catalogue's own files, in `central`, `tenant` and `views`."""

_READ_TABLE: Final = re.compile(r"\btenants\.([a-z][a-z0-9_]*)")
_MILLISECONDS_A_DAY: Final = 86_400_000


@cache
def central_tables() -> tuple[TableSpec, ...]:
    """The tables of the central dataset, by name.

    Raises:
        PermanentError: INVALID_CATALOGUE.
    """
    return _recorded("central")


@cache
def tenant_tables() -> tuple[TableSpec, ...]:
    """The tables that every tenant's dataset has, by name.

    Raises:
        PermanentError: INVALID_CATALOGUE.
    """
    return _recorded("tenant")


@cache
def views() -> tuple[ViewSpec, ...]:
    """The views of the central dataset, each behind those that it reads.

    Raises:
        PermanentError: INVALID_CATALOGUE.
    """
    return load_views(FILES / "views", frozenset(table.name for table in central_tables()))


def load_tables(directory: Path) -> tuple[TableSpec, ...]:
    """Every `*.yaml` of a directory as a table, by name.

    Raises:
        PermanentError: INVALID_CATALOGUE if a file is wrong or there is none.
    """
    files = sorted(directory.glob("*.yaml"))
    if not files:
        raise PermanentError(
            ErrorCode.INVALID_CATALOGUE, f"Put at least one *.yaml file into {directory.name}/."
        )
    return tuple(_spec(read_table_file(file)) for file in files)


def load_views(directory: Path, tables: frozenset[str]) -> tuple[ViewSpec, ...]:
    """Every `*.sql` of a directory as a view over `tables` or over another view, in an order of creation.

    Raises:
        PermanentError: INVALID_CATALOGUE for a view without a description, one that reads what is not declared or
            several tables, and views that read each other.
    """
    found = {view.name: view for view in map(_view, sorted(directory.glob("*.sql")))}
    for view in found.values():
        _check_names(view, tables, frozenset(found))
    try:
        graph = {name: view.reads & found.keys() for name, view in found.items()}
        ordered = tuple(found[name] for name in TopologicalSorter(graph).static_order())
    except CycleError as error:
        raise _wrong_view(str(error.args[1][0]), "it reads itself by way of others") from None
    for view in ordered:
        _check_it_stands_on_one_table(view, ordered)
    return ordered


def views_over(table: str, all_views: tuple[ViewSpec, ...]) -> tuple[ViewSpec, ...]:
    """The views that stand on a table, each behind those that it reads."""
    return tuple(view for view in all_views if table in _tables_behind(view, all_views))


def _recorded(kind: str) -> tuple[TableSpec, ...]:
    tables = load_tables(FILES / kind)
    check_versions(tables, read_record().get(kind, {}))
    return tables


def _check_names(view: ViewSpec, tables: frozenset[str], all_views: frozenset[str]) -> None:
    unknown = sorted(view.reads - tables - all_views)
    if unknown:
        raise _wrong_view(view.name, f"it reads {', '.join(unknown)}, which is not declared")
    if view.name in tables:
        raise _wrong_view(view.name, "a table has its name")


def _check_it_stands_on_one_table(view: ViewSpec, all_views: tuple[ViewSpec, ...]) -> None:
    """A view is made with its table, so that a part of the tables can be made alone."""
    count = len(_tables_behind(view, all_views))
    if count != 1:
        raise _wrong_view(view.name, f"it stands on {count} tables, and a view stands on one")


def _tables_behind(view: ViewSpec, all_views: tuple[ViewSpec, ...]) -> frozenset[str]:
    by_name = {other.name: other for other in all_views}
    direct = view.reads - by_name.keys()
    return direct.union(*(_tables_behind(by_name[name], all_views) for name in view.reads & by_name.keys()))


def to_bigquery(spec: TableSpec, project: str, dataset_id: str) -> bigquery.Table:
    """The table as BigQuery's client creates it, in a dataset."""
    table = bigquery.Table(
        f"{project}.{dataset_id}.{spec.name}",
        schema=[
            bigquery.SchemaField(column.name, column.type, column.mode, description=column.description)
            for column in spec.columns
        ],
    )
    table.description = spec.description
    table.labels = dict(spec.labels)
    table.clustering_fields = list(spec.clustering) or None
    if spec.partitioning:
        table.time_partitioning = _time_partitioning(spec.partitioning)
    return table


def view_to_bigquery(view: ViewSpec, project: str, dataset_id: str) -> bigquery.Table:
    """The view as BigQuery's client creates it; its label `definition` identifies its text.

    A view keeps the project of what it reads in its text, so that it means the same wherever it is asked from.
    """
    table = bigquery.Table(f"{project}.{dataset_id}.{view.name}")
    table.view_query = _READ_TABLE.sub(rf"`{project}.{dataset_id}.\1`", view.sql)
    table.description = view.description
    table.labels = {"definition": view.digest}
    return table


def _time_partitioning(partitioning: Partitioning) -> bigquery.TimePartitioning:
    days = partitioning.expiration_days
    return bigquery.TimePartitioning(
        type_=partitioning.granularity,
        field=partitioning.column,
        expiration_ms=days * _MILLISECONDS_A_DAY if days else None,
    )


def _spec(file: TableFile) -> TableSpec:
    partition = file.partition
    return TableSpec(
        name=file.name,
        description=" ".join(file.description.split()),
        columns=tuple(
            Column(column.name, column.type, column.mode, " ".join(column.description.split()))
            for column in file.columns
        ),
        partitioning=Partitioning(partition.column, partition.granularity, partition.expiration_days)
        if partition
        else None,
        clustering=file.cluster,
        labels=dict(file.labels),
        version=file.version,
    )


def _view(path: Path) -> ViewSpec:
    lines = path.read_text("utf-8").strip().splitlines()
    comments = _leading_comments(lines)
    description = " ".join(line.lstrip("- ") for line in comments)
    if not description:
        raise _wrong_view(path.stem, "its first lines say nothing; describe it in comments")
    sql = "\n".join(lines[len(comments) :]).strip()
    return ViewSpec(path.stem, description, sql, frozenset(_READ_TABLE.findall(sql)))


def _leading_comments(lines: list[str]) -> list[str]:
    first_other = next((place for place, line in enumerate(lines) if not line.startswith("--")), len(lines))
    return lines[:first_other]


def _wrong_view(name: str, wrong: str) -> PermanentError:
    return PermanentError(ErrorCode.INVALID_CATALOGUE, f"Correct views/{name}.sql: {wrong}.")
