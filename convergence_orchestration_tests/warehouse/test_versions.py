from dataclasses import replace
from pathlib import Path

import pytest

from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.warehouse.catalogue import FILES, load_tables
from convergence_orchestration.warehouse.model import Column, ColumnMode, Partitioning, TableSpec
from convergence_orchestration.warehouse.versions import (
    check_versions,
    read_record,
    record_text,
    with_versions,
)

EVENTS = TableSpec(
    name="events",
    description="What happened.",
    columns=(
        Column("event_id", "STRING", ColumnMode.REQUIRED, "Identifies it."),
        Column("recorded_at", "TIMESTAMP", ColumnMode.NULLABLE, "When."),
    ),
    partitioning=Partitioning("recorded_at"),
    clustering=("event_id",),
    version=2,
)
RECORDED = {"events": {1: "0" * 16, 2: EVENTS.fingerprint}}
WITH_NOTE = replace(EVENTS, columns=(*EVENTS.columns, Column("note", "STRING", ColumnMode.NULLABLE)))


def refusal(spec: TableSpec, recorded: dict[str, dict[int, str]]) -> str:
    with pytest.raises(PermanentError) as caught:
        check_versions([spec], recorded)
    assert caught.value.code is ErrorCode.INVALID_CATALOGUE
    return caught.value.message


def test_the_catalogue_is_as_recorded() -> None:
    record = read_record()

    for kind in ("central", "tenant"):
        tables = load_tables(FILES / kind)
        check_versions(tables, record[kind])
        assert with_versions(tables, record[kind]) == record[kind]
        assert set(record[kind]) >= {table.name for table in tables}


def test_a_table_that_changed_without_a_new_version_is_refused() -> None:
    assert refusal(WITH_NOTE, RECORDED).startswith(
        "Set `version: 3` in events.yaml and run scripts/record_catalogue.py"
    )


def test_a_version_that_nobody_recorded_is_refused() -> None:
    sentence = "Run scripts/record_catalogue.py and commit what it writes: version 3 of table events is not"

    assert refusal(replace(WITH_NOTE, version=3), RECORDED).startswith(sentence)
    assert "version 2 of table events is not recorded" in refusal(EVENTS, {})


def test_a_version_does_not_count_down() -> None:
    assert refusal(replace(EVENTS, version=1), RECORDED).startswith("Set `version: 3` in events.yaml")


def test_a_new_version_is_added_and_the_old_ones_stay() -> None:
    third = replace(WITH_NOTE, version=3)

    added = with_versions([third], RECORDED)

    assert added == {"events": {**RECORDED["events"], 3: third.fingerprint}}
    assert set(RECORDED["events"]) == {1, 2}
    check_versions([third], added)


def test_what_is_recorded_is_never_written_over() -> None:
    with pytest.raises(PermanentError, match="Set `version: 3`"):
        with_versions([WITH_NOTE], RECORDED)


@pytest.mark.parametrize(
    "other",
    [
        WITH_NOTE,
        replace(EVENTS, clustering=()),
        replace(EVENTS, partitioning=None),
        replace(EVENTS, partitioning=Partitioning("recorded_at", expiration_days=1)),
        replace(EVENTS, columns=(replace(EVENTS.columns[0], type="BYTES"), EVENTS.columns[1])),
        replace(EVENTS, columns=(replace(EVENTS.columns[0], mode=ColumnMode.NULLABLE), EVENTS.columns[1])),
    ],
)
def test_whatever_changes_answers_changes_the_fingerprint(other: TableSpec) -> None:
    assert other.fingerprint != EVENTS.fingerprint


def test_descriptions_labels_and_the_columns_order_are_not_in_the_fingerprint() -> None:
    other = replace(EVENTS, description="Else.", labels={"a": "b"}, columns=EVENTS.columns[::-1], version=9)

    assert other.fingerprint == EVENTS.fingerprint


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "fingerprints.yaml"
    record = {"central": RECORDED, "tenant": {"few": {1: "1234567890123456"}}}
    path.write_text(record_text(record))

    assert read_record(path) == record


@pytest.mark.parametrize("text", [None, "central: 3", "a: [", "central: {a: {0: '0123456789abcdef'}}"])
def test_a_record_that_is_none_is_refused(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "fingerprints.yaml"
    if text is not None:
        path.write_text(text)

    with pytest.raises(PermanentError, match=r"Restore fingerprints.yaml"):
        read_record(path)
