from dataclasses import replace

import pytest

from convergence_orchestration.errors import PermanentError
from convergence_orchestration.gcp.row_sql import (
    ReadColumn,
    RowPair,
    compare_rows,
    insert_missing,
    merge_back,
    merge_missing,
    select_checksum,
)

PAIR = RowPair(
    kept=("p", "backups", "slots_1"),
    present=("p", "tenants", "slots"),
    columns=(ReadColumn("tenant_id", "STRING"), ReadColumn("slot", "INT64"), ReadColumn("tags")),
    keys=("tenant_id", "slot"),
    final_column="tenant_id",
)
COLUMNS = "CAST(tenant_id AS STRING) AS tenant_id, CAST(slot AS INT64) AS slot, tags"


def test_rows_are_summed_as_they_are_declared() -> None:
    sql = select_checksum(PAIR.kept, PAIR.columns)

    assert f"TO_JSON_STRING(STRUCT({COLUMNS}))" in sql
    assert "FROM `p.backups.slots_1`" in sql


def test_missing_rows_are_found_by_every_column_of_the_key() -> None:
    same = "present.tenant_id = kept.tenant_id AND present.slot = kept.slot"

    assert f"AS present WHERE {same})" in insert_missing(PAIR)
    assert f"ON {same}" in merge_missing(PAIR)
    assert "UPDATE" not in merge_missing(PAIR)
    assert "UPDATE SET tenant_id = kept.tenant_id, slot = kept.slot, tags = kept.tags" in merge_back(PAIR)


@pytest.mark.parametrize(
    "wrong",
    [
        replace(PAIR, kept=("p", "backups", "x` WHERE TRUE --")),
        replace(PAIR, columns=(ReadColumn("a, b", "STRING"),)),
        replace(PAIR, columns=(ReadColumn("a", "STRING) FROM x"),)),
        replace(PAIR, final_column="1 = 1"),
    ],
)
def test_nothing_but_names_gets_into_a_statement(wrong: RowPair) -> None:
    for statement in (compare_rows, merge_back):
        with pytest.raises(PermanentError, match="Correct the"):
            statement(wrong)
