from pathlib import Path

import pytest

from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.warehouse.declarations import read_table_file

VALID = """\
name: events
description: What happened, one row each.
columns:
  - name: event_id
    type: STRING
    mode: REQUIRED
    description: Identifies the event for ever.
  - name: recorded_at
    type: TIMESTAMP
    description: When it happened, in UTC.
  - name: tags
    type: STRING
    mode: REPEATED
    description: Words that it is found by.
  - name: observed
    type: FLOAT64
    description: What was measured, in seconds.
  - name: day
    type: DATE
    description: The day it happened, in UTC.
partition:
  column: recorded_at
cluster: [event_id]
labels:
  domain: tries
version: 1
"""


def declared(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "central" / "events.yaml"
    path.parent.mkdir()
    path.write_text(text)
    return path


def test_a_valid_file_is_read(tmp_path: Path) -> None:
    table = read_table_file(declared(tmp_path, VALID))

    assert [column.name for column in table.columns] == ["event_id", "recorded_at", "tags", "observed", "day"]
    assert table.columns[1].mode == "NULLABLE"
    assert table.partition is not None
    assert table.partition.granularity == "DAY"
    assert table.cluster == ("event_id",)


@pytest.mark.parametrize(
    ("right", "wrong", "line", "field", "sentence"),
    [
        ("    type: TIMESTAMP", "    type: TIMESTAMPS", 9, "columns[1].type", "found 'TIMESTAMPS'"),
        ("    mode: REPEATED", "    mode: MANY", 13, "columns[2].mode", "found 'MANY'"),
        ("  - name: tags", "  - name: Tags", 11, "columns[2].name", "found 'Tags'"),
        (
            "  - name: tags",
            "  - name: event_id",
            11,
            "columns[2].name",
            "there is a column 'event_id' already",
        ),
        (
            "    description: When it happened, in UTC.",
            "    description: ''",
            10,
            "columns[1].description",
            "at least 10",
        ),
        ("    description: When it happened, in UTC.\n", "", 8, "columns[1].description", "field required"),
        (
            "  column: recorded_at",
            "  column: nothing",
            22,
            "partition.column",
            "there is no column 'nothing'",
        ),
        ("  column: recorded_at", "  column: event_id", 22, "partition.column", "'event_id' is STRING"),
        ("  column: recorded_at", "  column: tags", 22, "partition.column", "'tags' is REPEATED STRING"),
        (
            "  column: recorded_at",
            "  column: day\n  granularity: HOUR",
            23,
            "partition.granularity",
            "which has no hours",
        ),
        (
            "  column: recorded_at",
            "  column: recorded_at\n  expiration_days: 0",
            23,
            "partition.expiration_days",
            "found 0",
        ),
        (
            "cluster: [event_id]",
            "cluster: [event_id, nothing]",
            23,
            "cluster[1]",
            "there is no column 'nothing'",
        ),
        ("cluster: [event_id]", "cluster: [observed]", 23, "cluster[0]", "cannot cluster by FLOAT64"),
        ("cluster: [event_id]", "cluster: [tags]", 23, "cluster[0]", "cannot cluster by REPEATED STRING"),
        ("cluster: [event_id]", "cluster: [day, day]", 23, "cluster[1]", "'day' is listed already"),
        ("cluster: [event_id]", "cluster: [a, b, c, d, e]", 23, "cluster", "at most 4 items"),
        ("  domain: tries", "  domain: Not Allowed", 25, "labels.domain", "found 'Not Allowed'"),
        ("  domain: tries", "  Domain: tries", 25, "labels.Domain.[key]", "found 'Domain'"),
        ("labels:", "label:", 24, "label", "extra inputs are not permitted"),
        ("version: 1", "version: 0", 26, "version", "greater than or equal to 1"),
        ("version: 1\n", "", 1, "version", "field required"),
        ("name: events", "name: others", 1, "name", "the file is named events, found 'others'"),
        ("cluster: [event_id]", "cluster: [event_id]\ncluster: [day]", 24, "cluster", "given twice"),
        (
            "    mode: REQUIRED",
            "    mode: REQUIRED\n    mode: NULLABLE",
            7,
            "columns[0].mode",
            "given twice",
        ),
    ],
)
def test_a_mistake_is_named_by_file_line_and_field(
    tmp_path: Path, right: str, wrong: str, line: int, field: str, sentence: str
) -> None:
    path = declared(tmp_path, VALID.replace(right, wrong, 1))

    with pytest.raises(PermanentError) as caught:
        read_table_file(path)

    assert caught.value.code is ErrorCode.INVALID_CATALOGUE
    assert caught.value.message.startswith(f"Correct central/events.yaml, line {line}, {field}: ")
    assert sentence in caught.value.message


def test_every_mistake_has_its_line(tmp_path: Path) -> None:
    text = VALID.replace("type: TIMESTAMP", "type: NOTHING").replace("mode: REPEATED", "mode: MANY")

    with pytest.raises(PermanentError) as caught:
        read_table_file(declared(tmp_path, text))

    assert len(caught.value.message.splitlines()) == 2


def test_what_is_not_yaml_is_named_by_its_line(tmp_path: Path) -> None:
    path = declared(tmp_path, VALID.replace("    type: TIMESTAMP", "    type: [TIMESTAMP"))

    with pytest.raises(PermanentError, match=r"central/events\.yaml, line \d+: it is not YAML"):
        read_table_file(path)


@pytest.mark.parametrize("text", ["", "- a list", "just words"])
def test_a_file_that_holds_no_table_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(PermanentError, match=r"Correct central/events\.yaml, line 1, \(file\)") as caught:
        read_table_file(declared(tmp_path, text))

    assert caught.value.code is ErrorCode.INVALID_CATALOGUE


def test_a_column_that_is_no_mapping_is_refused_where_it_stands(tmp_path: Path) -> None:
    path = declared(tmp_path, VALID.replace("columns:\n", "columns:\n  - just words\n"))

    with pytest.raises(PermanentError, match=r"line 4, columns\[0\]"):
        read_table_file(path)
