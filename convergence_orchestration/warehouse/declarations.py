"""A table's YAML file, read strictly: whatever is wrong is named with its file, line and field.

What belongs here: the shape of a file and the rules of BigQuery that a file can break. What becomes of a valid file is
`catalogue.py`.
"""

from collections import Counter
from pathlib import Path
from typing import Annotated, Final

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.warehouse.model import ColumnMode, ColumnType, Granularity

type Location = tuple[int | str, ...]

_PARTITIONABLE: Final = frozenset({ColumnType.TIMESTAMP, ColumnType.DATE, ColumnType.DATETIME})
_CLUSTERABLE: Final = frozenset(ColumnType) - {
    ColumnType.BYTES,
    ColumnType.FLOAT64,
    ColumnType.JSON,
    ColumnType.TIME,
}

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,127}$")]
Text = Annotated[str, Field(min_length=10, max_length=1024)]
LabelKey = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,62}$")]
LabelValue = Annotated[str, Field(pattern=r"^[a-z0-9_-]{0,63}$")]


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ColumnEntry(_Entry):
    """One item of `columns`."""

    name: Name
    type: ColumnType
    mode: ColumnMode = ColumnMode.NULLABLE
    description: Text


class PartitionEntry(_Entry):
    """The item `partition`."""

    column: str
    granularity: Granularity = Granularity.DAY
    expiration_days: Annotated[int, Field(ge=1)] | None = None


class TableFile(_Entry):
    """A whole file; it is named after its table."""

    name: Name
    version: Annotated[int, Field(ge=1)]
    description: Text
    columns: Annotated[tuple[ColumnEntry, ...], Field(min_length=1, max_length=10_000)]
    partition: PartitionEntry | None = None
    cluster: Annotated[tuple[str, ...], Field(max_length=4)] = ()
    labels: dict[LabelKey, LabelValue] = Field(default_factory=dict)


def read_table_file(path: Path) -> TableFile:
    """The declaration in a YAML file.

    Raises:
        PermanentError: INVALID_CATALOGUE with one line for each mistake: file, line, field and what is wrong.
    """
    root = _composed(path)
    repeated = _repeated_keys(root, ())
    if repeated:
        raise _invalid(path, root, repeated)
    try:
        declared = TableFile.model_validate(yaml.safe_load(path.read_text("utf-8")))
    except ValidationError as error:
        raise _invalid(path, root, _mistakes(error)) from None
    contradictions = _contradictions(declared, path.stem)
    if contradictions:
        raise _invalid(path, root, contradictions)
    return declared


def _composed(path: Path) -> yaml.Node | None:
    try:
        return yaml.compose(path.read_text("utf-8"), Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise PermanentError(
            ErrorCode.INVALID_CATALOGUE,
            f"Correct {_short(path)}, line {line}: it is not YAML, {error.problem}.",
        ) from None


def _mistakes(error: ValidationError) -> list[tuple[Location, str]]:
    return [(item["loc"], _sentence(item["msg"], item["type"], item["input"])) for item in error.errors()]


def _sentence(message: str, kind: str, found: object) -> str:
    text = f"{message[:1].lower()}{message[1:]}"
    shows_it = isinstance(found, str | int | float) and kind != "missing"
    return f"{text}, found {found!r}" if shows_it else text


def _contradictions(declared: TableFile, stem: str) -> list[tuple[Location, str]]:
    """What each field alone does not show: names that clash or are missing, columns that BigQuery cannot use so."""
    return [
        *(
            []
            if declared.name == stem
            else [(("name",), f"the file is named {stem}, found {declared.name!r}")]
        ),
        *_duplicate_columns(declared),
        *_wrong_partition(declared),
        *_wrong_clusters(declared),
    ]


def _duplicate_columns(declared: TableFile) -> list[tuple[Location, str]]:
    times = Counter(column.name for column in declared.columns)
    seen: set[str] = set()
    wrong: list[tuple[Location, str]] = []
    for place, column in enumerate(declared.columns):
        if times[column.name] > 1 and column.name in seen:
            wrong.append((("columns", place, "name"), f"there is a column {column.name!r} already"))
        seen.add(column.name)
    return wrong


def _wrong_partition(declared: TableFile) -> list[tuple[Location, str]]:
    if declared.partition is None:
        return []
    where, name = ("partition", "column"), declared.partition.column
    column = _column(declared, name)
    if column is None:
        return [(where, f"there is no column {name!r}")]
    if column.type not in _PARTITIONABLE or column.mode is ColumnMode.REPEATED:
        return [
            (where, f"a table is partitioned by a TIMESTAMP, DATE or DATETIME, {name!r} is {_kind(column)}")
        ]
    if column.type is ColumnType.DATE and declared.partition.granularity is Granularity.HOUR:
        return [(("partition", "granularity"), f"{name!r} is a DATE, which has no hours")]
    return []


def _wrong_clusters(declared: TableFile) -> list[tuple[Location, str]]:
    wrong: list[tuple[Location, str]] = []
    for place, name in enumerate(declared.cluster):
        column = _column(declared, name)
        if column is None:
            wrong.append((("cluster", place), f"there is no column {name!r}"))
        elif column.type not in _CLUSTERABLE or column.mode is ColumnMode.REPEATED:
            wrong.append((("cluster", place), f"BigQuery cannot cluster by {_kind(column)}, as {name!r} is"))
        elif name in declared.cluster[:place]:
            wrong.append((("cluster", place), f"{name!r} is listed already"))
    return wrong


def _column(declared: TableFile, name: str) -> ColumnEntry | None:
    return next((column for column in declared.columns if column.name == name), None)


def _kind(column: ColumnEntry) -> str:
    return f"{column.mode} {column.type}" if column.mode is ColumnMode.REPEATED else str(column.type)


def _repeated_keys(node: yaml.Node | None, location: Location) -> list[tuple[Location, str]]:
    """Keys given twice in one mapping, of which YAML would silently take the last."""
    if isinstance(node, yaml.SequenceNode):
        return [
            found
            for place, item in enumerate(node.value)
            for found in _repeated_keys(item, (*location, place))
        ]
    if not isinstance(node, yaml.MappingNode):
        return []
    times = Counter(key.value for key, _ in node.value)
    twice: list[tuple[Location, str]] = [
        ((*location, key), "it is given twice") for key, count in times.items() if count > 1
    ]
    return twice + [
        found for key, value in node.value for found in _repeated_keys(value, (*location, key.value))
    ]


def _invalid(path: Path, root: yaml.Node | None, mistakes: list[tuple[Location, str]]) -> PermanentError:
    lines = [
        f"Correct {_short(path)}, line {_line(root, location)}, {_field(location)}: {wrong}."
        for location, wrong in mistakes
    ]
    return PermanentError(ErrorCode.INVALID_CATALOGUE, "\n".join(lines), {"file": _short(path)})


def _line(node: yaml.Node | None, location: Location) -> int:
    """The line of the field, or of the innermost thing around it that is there."""
    line = node.start_mark.line if node else 0
    for part in location:
        if isinstance(node, yaml.MappingNode):
            pairs = [(key, value) for key, value in node.value if key.value == part]
            if not pairs:
                break
            key, node = pairs[-1]
            line = key.start_mark.line
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            line = node.start_mark.line
        else:
            break
    return line + 1


def _field(location: Location) -> str:
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    return text.removeprefix(".") or "(file)"


def _short(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"
