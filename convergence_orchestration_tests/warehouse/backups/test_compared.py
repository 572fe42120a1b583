from dataclasses import replace
from datetime import UTC, datetime

import pytest
from google.cloud.bigquery import SchemaField, Table

from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.gcp.row_sql import ReadColumn
from convergence_orchestration.warehouse.backups.columns import (
    all_of,
    declared_in,
    required_and_absent,
    undeclared_in,
)
from convergence_orchestration.warehouse.backups.compared import (
    NOTHING_MORE,
    ComparedTable,
    Counts,
    Permissions,
    check_allowed,
    chosen_tables,
    refusals,
)
from convergence_orchestration.warehouse.backups.model import (
    LEFT_OUT,
    BackedUpTable,
    Backup,
    tables_as_text,
    tables_from_text,
)
from convergence_orchestration.warehouse.backups.rules import Way, rule_of
from convergence_orchestration.warehouse.backups.shown import compared_rows
from convergence_orchestration.warehouse.catalogue import central_tables, tenant_tables
from convergence_orchestration.warehouse.model import Column, ColumnMode, SchemaDifference, TableSpec
from convergence_orchestration_tests.warehouse.builders import specs

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
NOTHING_CHANGED = Counts(rows_now=2, rows_in_backup=2, missing=0)


def kept(name: str, version: int = 1) -> BackedUpTable:
    return BackedUpTable(
        name, f"tenants_backups.{name}", rows=2, checksum="7", version=version, is_query_copy=False
    )


def backup(*tables: BackedUpTable) -> Backup:
    return Backup("central_x", "tenants", "development", NOON, NOON, "run", "a test", tables)


def compared(name: str, counts: Counts = NOTHING_CHANGED, **more: object) -> ComparedTable:
    spec = specs(name)[0]
    return ComparedTable(spec, rule_of(spec), kept(name), counts, **more)  # type: ignore[arg-type]


COLOUR = SchemaDifference("tenant_profiles", "colour", "-", "STRING NULLABLE")


def test_every_declared_table_has_a_rule_whose_columns_it_has() -> None:
    for spec in (*central_tables(), *tenant_tables()):
        if spec.name not in LEFT_OUT:
            rule = rule_of(spec)
            assert {*rule.keys, rule.final_column} <= {column.name for column in spec.columns}


def test_a_table_of_current_rows_without_a_rule_is_refused() -> None:
    with pytest.raises(PermanentError, match="Add a rule for colours"):
        rule_of(TableSpec("colours", "", (), labels={"rows": "current"}))


def test_no_log_goes_back() -> None:
    back = {spec.name for spec in central_tables() if spec.name not in LEFT_OUT and _goes_back(spec)}

    assert back == {"tenant_profiles", "tenant_subscriptions", "tenant_usage_quotas"}


def _goes_back(spec: TableSpec) -> bool:
    return rule_of(spec).way is Way.BACK


def test_the_tables_of_a_backup_are_chosen_by_name_or_are_all_of_them() -> None:
    both = backup(kept("alerts"), kept("tenant_profiles", 2), kept("of_an_older_release"))

    assert [spec.name for spec, _ in chosen_tables(both, [])] == ["alerts", "tenant_profiles"]
    assert [spec.name for spec, _ in chosen_tables(both, ["alerts"])] == ["alerts"]


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        (["sealed_keys"], "Leave out sealed_keys"),
        (["nowhere"], "has no table nowhere"),
        (["health_checks"], "has no table health_checks"),
    ],
)
def test_a_table_that_the_backup_cannot_give_is_refused(names: list[str], sentence: str) -> None:
    with pytest.raises(PermanentError, match=sentence) as caught:
        chosen_tables(backup(kept("alerts")), names)

    assert caught.value.code is ErrorCode.INVALID_ARGUMENT


def test_a_backup_of_a_newer_schema_is_refused() -> None:
    with pytest.raises(PermanentError, match="Deploy the code that took central_x") as caught:
        chosen_tables(backup(kept("alerts", 9)), [])

    assert caught.value.code is ErrorCode.FAILED_PRECONDITION


@pytest.mark.parametrize(
    ("table", "allowed", "sentence"),
    [
        (
            compared("alerts", unfilled_columns=("kind",)),
            NOTHING_MORE,
            "Choose a newer backup",
        ),
        (compared("tenant_profiles", differences=(COLOUR,)), NOTHING_MORE, "Allow it to recreate tables"),
        (
            compared("tenant_profiles", differences=(COLOUR,), can_migrate=True),
            Permissions(recreate_tables=True),
            "Migrate tenant_profiles first",
        ),
        (
            compared("tenant_profiles", differences=(COLOUR,), unkept_columns=("plan",)),
            Permissions(recreate_tables=True),
            "Add plan to tenant_profiles",
        ),
        (compared("api_key_events", Counts(0, 2, missing=2)), NOTHING_MORE, "lacks 2 events"),
    ],
)
def test_what_would_lose_something_is_refused_in_one_sentence(
    table: ComparedTable, allowed: Permissions, sentence: str
) -> None:
    with pytest.raises(PermanentError, match=sentence) as caught:
        check_allowed([compared("alerts"), table], allowed)

    assert caught.value.code is ErrorCode.FAILED_PRECONDITION
    assert len(refusals(table, allowed)) == 1


def test_what_is_allowed_or_loses_nothing_is_not_refused() -> None:
    everything = Permissions(recreate_tables=True, readmit_keys=True)

    check_allowed([compared("tenant_profiles", differences=(COLOUR,))], everything)
    check_allowed([compared("api_key_events", Counts(0, 2, missing=2))], everything)
    check_allowed([compared("audit_log", Counts(0, 2, missing=2), is_missing=True)], NOTHING_MORE)


def test_a_log_is_restored_when_nothing_is_missing_and_states_when_nothing_differs() -> None:
    differs = replace(NOTHING_CHANGED, changed=1)

    assert compared("audit_log", differs).is_restored
    assert not compared("tenant_profiles", differs).is_restored
    assert not compared("audit_log", replace(NOTHING_CHANGED, missing=1)).is_restored
    assert compared("tenant_profiles", replace(NOTHING_CHANGED, final=1, newer=1)).is_restored


def test_a_comparison_is_told_in_words() -> None:
    states = compared(
        "tenant_profiles",
        Counts(rows_now=9, rows_in_backup=8, missing=1, changed=2, final=1, newer=3),
        differences=(COLOUR,),
        lost_columns=("colour",),
        unread_columns=("shape",),
    )
    log = compared("audit_log", Counts(5, 2, missing=0, changed=1, newer=3))

    told, of_the_log = compared_rows([states, log], NOTHING_MORE)

    assert told[:6] == ("tenant_profiles", "9", "8", "1", "2", "4")
    assert told[6] == ("colour: STRING NULLABLE and not -; shape of the backup is not declared and left out")
    assert told[7] == "what changed in 2 rows since; columns colour"
    assert "Allow it to recreate tables" in told[8]
    assert of_the_log == ("audit_log", "5", "2", "0", "0", "4", "as declared", "nothing", "")
    missing = compared("audit_log", Counts(0, 2, 2), is_missing=True, differences=(COLOUR,))
    assert compared_rows([missing], NOTHING_MORE)[0][6] == "the table is missing and is made"


def test_columns_are_read_as_they_are_declared_now() -> None:
    spec = TableSpec(
        "colours",
        "",
        (
            Column("name", "STRING", ColumnMode.REQUIRED),
            Column("weight", "NUMERIC", ColumnMode.REQUIRED),
            Column("tags", "STRING", ColumnMode.REPEATED),
            Column("new", "STRING", ColumnMode.REQUIRED),
        ),
    )
    real = Table(
        "p.d.colours",
        schema=[
            SchemaField("weight", "INTEGER"),
            SchemaField("name", "STRING"),
            SchemaField("tags", "STRING"),
            SchemaField("old", "STRING"),
        ],
    )

    assert declared_in(spec, real) == [ReadColumn("name", "STRING"), ReadColumn("weight", "NUMERIC")]
    assert undeclared_in(spec, real) == ("tags", "old")
    assert required_and_absent(spec, real) == ("new",)
    assert all_of(real) == [ReadColumn(name) for name in ("name", "old", "tags", "weight")]
    assert declared_in(spec, None) == []


def test_a_backups_tables_are_written_and_read() -> None:
    tables = (kept("alerts"), kept("audit_log", 2))

    assert tables_from_text(tables_as_text(tables)) == tables
    assert backup(*tables).rows == 4
    assert backup(*tables).is_expired(NOON)
