import pytest

from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.gcp.sql import (
    NewColumn,
    add_columns,
    columns_of_region,
    drop_not_null,
    select_all,
    select_count,
    set_data_type,
)

TABLE = ("acme-dev", "tenant_acme", "step_logs")


def test_a_tables_name_is_put_between_backticks() -> None:
    assert select_count("acme-dev", "tenants", "alerts").strip() == (
        "SELECT COUNT(*) AS row_count FROM `acme-dev.tenants.alerts`"
    )
    assert select_all("acme-dev", "tenants", "alerts").strip() == "SELECT * FROM `acme-dev.tenants.alerts`"


@pytest.mark.parametrize("name", ["", "a`; DROP TABLE b", "a b", "a.b", "tenants\n", "x" * 1025])
def test_what_is_not_a_name_never_gets_into_a_statement(name: str) -> None:
    with pytest.raises(PermanentError) as caught:
        select_count("acme-dev", "tenants", name)

    assert caught.value.code is ErrorCode.INVALID_ARGUMENT


def test_columns_are_added_in_one_statement_that_leaves_those_that_are_there() -> None:
    columns = [NewColumn("region", "STRING", "Where it ran."), NewColumn("tags", "ARRAY<STRING>", "Words.")]

    assert add_columns(TABLE, columns).strip() == (
        "ALTER TABLE `acme-dev.tenant_acme.step_logs` "
        'ADD COLUMN IF NOT EXISTS `region` STRING OPTIONS (description = "Where it ran."), '
        'ADD COLUMN IF NOT EXISTS `tags` ARRAY<STRING> OPTIONS (description = "Words.")'
    )


def test_a_description_stays_within_its_quotes_and_is_not_filled_in_again() -> None:
    text = 'a "quote", a \\, a\nline and {table} — all of it'

    statement = add_columns(TABLE, [NewColumn("region", "STRING", text)])

    assert r'description = "a \"quote\", a \\, a\nline and {table} — all of it")' in statement


def test_a_column_is_widened_and_may_be_empty() -> None:
    assert drop_not_null(TABLE, "step").strip() == (
        "ALTER TABLE `acme-dev.tenant_acme.step_logs` ALTER COLUMN `step` DROP NOT NULL"
    )
    assert set_data_type(TABLE, "rows", "NUMERIC").strip() == (
        "ALTER TABLE `acme-dev.tenant_acme.step_logs` ALTER COLUMN `rows` SET DATA TYPE NUMERIC"
    )


def test_the_columns_of_a_location_are_those_of_its_region() -> None:
    assert "FROM `acme-dev.region-us-central1`.INFORMATION_SCHEMA.COLUMNS" in columns_of_region(
        "acme-dev", "US-central1"
    )


@pytest.mark.parametrize("name", ["", "a`", "1st", "a b", "a.b", "a\n", "x" * 301])
def test_what_is_not_a_columns_name_never_gets_into_a_statement(name: str) -> None:
    with pytest.raises(PermanentError, match="Correct the column's name"):
        drop_not_null(TABLE, name)


@pytest.mark.parametrize("name", ["", "string", "STRING NOT NULL", "ARRAY<ARRAY<STRING>>", "NUMERIC(1)"])
def test_what_is_not_a_type_never_gets_into_a_statement(name: str) -> None:
    with pytest.raises(PermanentError, match="Correct the type's name"):
        set_data_type(TABLE, "step", name)
