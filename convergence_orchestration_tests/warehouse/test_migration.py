from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convergence_orchestration.warehouse.drift import differences
from convergence_orchestration.warehouse.migration import Change, ChangeKind, Refusal, plan
from convergence_orchestration.warehouse.model import (
    Column,
    ColumnMode,
    ColumnType,
    FoundTable,
    Partitioning,
    TableSpec,
)

REQUIRED, NULLABLE, REPEATED = ColumnMode.REQUIRED, ColumnMode.NULLABLE, ColumnMode.REPEATED
EVENTS = TableSpec(
    name="events",
    description="What happened.",
    columns=(
        Column("event_id", "STRING", REQUIRED),
        Column("rows", "INT64", NULLABLE),
        Column("tags", "STRING", REPEATED),
        Column("recorded_at", "TIMESTAMP", REQUIRED),
    ),
    partitioning=Partitioning("recorded_at"),
    clustering=("event_id",),
)


def real(*columns: Column, spec: TableSpec = EVENTS) -> FoundTable:
    """The table as declared, but for `columns` of the same names, and with those beyond."""
    changed = {column.name: column for column in columns}
    kept = tuple(changed.pop(column.name, column) for column in spec.columns)
    return FoundTable((*kept, *changed.values()), spec.partitioning, spec.clustering)


def without(*names: str) -> FoundTable:
    found = real()
    return replace(found, columns=tuple(column for column in found.columns if column.name not in names))


def declared(*columns: Column) -> TableSpec:
    return replace(EVENTS, columns=real(*columns).columns)


def refusals(spec: TableSpec, found: FoundTable) -> tuple[Refusal, ...]:
    planned = plan(spec, found)
    assert planned.changes == ()
    assert not planned.is_needed
    return planned.refusals


def applied(found: FoundTable | None, changes: Sequence[Change], spec: TableSpec) -> FoundTable:
    """What BigQuery has after the statements."""
    if found is None:
        return FoundTable(spec.columns, spec.partitioning, spec.clustering)
    columns = {column.name: column for column in found.columns}
    for change in changes:
        for column in change.columns:
            was = columns.get(column.name, column)
            if change.kind is ChangeKind.DROP_NOT_NULL:
                columns[column.name] = replace(was, mode=NULLABLE)
            elif change.kind is ChangeKind.SET_DATA_TYPE:
                columns[column.name] = replace(was, type=column.type)
            else:
                assert column.name not in columns
                columns[column.name] = column
    return replace(found, columns=tuple(columns.values()))


def test_a_table_as_declared_needs_nothing() -> None:
    planned = plan(EVENTS, real())

    assert (planned.changes, planned.refusals, planned.is_needed) == ((), (), False)


def test_a_missing_table_is_made() -> None:
    planned = plan(EVENTS, None)

    assert planned.changes == (Change(ChangeKind.CREATE_TABLE, EVENTS.columns),)
    assert planned.creates


def test_new_columns_are_added_in_one_change() -> None:
    planned = plan(EVENTS, without("rows", "tags"))

    assert planned.changes == (Change(ChangeKind.ADD_COLUMNS, EVENTS.columns[1:3]),)
    assert not planned.creates


@pytest.mark.parametrize(
    ("narrow", "wide"),
    [
        ("INT64", "NUMERIC"),
        ("INT64", "BIGNUMERIC"),
        ("INT64", "FLOAT64"),
        ("NUMERIC", "BIGNUMERIC"),
        ("NUMERIC", "FLOAT64"),
        ("NUMERIC(10, 2)", "NUMERIC"),
        ("STRING(20)", "STRING"),
    ],
)
def test_a_wider_type_is_set(narrow: str, wide: str) -> None:
    spec = declared(Column("rows", wide, NULLABLE))

    assert plan(spec, real(Column("rows", narrow, NULLABLE))).changes == (
        Change(ChangeKind.SET_DATA_TYPE, (spec.columns[1],)),
    )


def test_a_column_that_may_be_empty_now_and_is_wider_takes_two_changes() -> None:
    spec = declared(Column("rows", "NUMERIC", NULLABLE))

    kinds = [change.kind for change in plan(spec, real(Column("rows", "INT64", REQUIRED))).changes]

    assert kinds == [ChangeKind.DROP_NOT_NULL, ChangeKind.SET_DATA_TYPE]


@pytest.mark.parametrize(
    ("spec", "found", "column", "sentence"),
    [
        (EVENTS, real(Column("note", "BYTES", NULLABLE)), "note", "Declare note again, or drop it by hand"),
        (
            declared(Column("note", "BYTES", NULLABLE)),
            real(Column("remark", "BYTES", NULLABLE)),
            "remark",
            "Declare remark again beside note, and copy its values",
        ),
        (declared(Column("note", "STRING", REQUIRED)), real(), "note", "Declare note NULLABLE: the rows"),
        (EVENTS, real(Column("event_id", "STRING", NULLABLE)), "event_id", "Declare event_id NULLABLE again"),
        (EVENTS, real(Column("rows", "NUMERIC", NULLABLE)), "rows", "INT64 does not hold every NUMERIC"),
        (EVENTS, real(Column("rows", "STRING", NULLABLE)), "rows", "INT64 does not hold every STRING"),
        (EVENTS, real(Column("tags", "STRING", NULLABLE)), "tags", "does not make STRING NULLABLE"),
        (EVENTS, real(Column("rows", "INT64", REPEATED)), "rows", "does not make INT64 REPEATED"),
        (
            declared(Column("tags", "NUMERIC", REPEATED)),
            real(Column("tags", "INT64", REPEATED)),
            "tags",
            "INT64 REPEATED into NUMERIC REPEATED",
        ),
        (EVENTS, replace(real(), partitioning=None), "(partitioning)", "for another partitioning: it is -"),
        (
            EVENTS,
            replace(real(), partitioning="at"),
            "(partitioning)",
            "it is by at and declared by recorded_at",
        ),
        (EVENTS, replace(real(), clustering=("rows",)), "(clustering)", "it is rows and declared event_id"),
        (EVENTS, replace(real(), kind="VIEW"), "(table)", "Move the VIEW in its place away"),
        (
            replace(declared(Column("rows", "NUMERIC", NULLABLE)), clustering=("rows",)),
            replace(real(), clustering=("rows",)),
            "rows",
            "Leave rows a INT64: the table is clustered by it",
        ),
    ],
)
def test_what_would_lose_something_is_refused_by_name(
    spec: TableSpec, found: FoundTable, column: str, sentence: str
) -> None:
    (refusal,) = refusals(spec, found)

    assert refusal.column == column
    assert sentence in refusal.reason


def test_a_refusal_keeps_the_whole_table_as_it_is() -> None:
    found = replace(without("rows"), clustering=())

    assert [refusal.column for refusal in refusals(EVENTS, found)] == ["(clustering)"]


def test_of_two_columns_that_an_undeclared_one_may_have_become_none_is_guessed() -> None:
    spec = declared(Column("a", "BYTES", NULLABLE), Column("b", "BYTES", NULLABLE))

    (refusal,) = refusals(spec, real(Column("c", "BYTES", NULLABLE)))

    assert refusal.reason.startswith("Declare c again, or drop it by hand")


COLUMNS = st.lists(
    st.builds(
        Column,
        st.sampled_from("abcdef"),
        st.sampled_from(list(ColumnType)),
        st.sampled_from(list(ColumnMode)),
    ),
    min_size=1,
    max_size=6,
    unique_by=lambda column: column.name,
).map(tuple)


@given(COLUMNS, st.none() | COLUMNS)
def test_a_table_is_as_declared_after_its_changes_or_untouched(
    wanted: tuple[Column, ...], there: tuple[Column, ...] | None
) -> None:
    spec = TableSpec("events", "What happened.", wanted)
    found = None if there is None else FoundTable(there)

    planned = plan(spec, found)

    assert not (planned.changes and planned.refusals)
    if planned.refusals:
        assert differences(spec, found)
    else:
        assert differences(spec, applied(found, planned.changes, spec)) == ()


@given(COLUMNS, COLUMNS)
def test_every_column_that_is_there_is_there_afterwards(
    wanted: tuple[Column, ...], there: tuple[Column, ...]
) -> None:
    spec, found = TableSpec("events", "What happened.", wanted), FoundTable(there)

    after = applied(found, plan(spec, found).changes, spec)

    assert {column.name for column in there} <= {column.name for column in after.columns}
