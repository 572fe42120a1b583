"""A CSV file of tenants to be: text -> rows and problems. Pure.

What belongs here: the file's form and each row's own problems, with line numbers. What exists already is the API's to say.
"""

import csv
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.tenancy.asked import NewTenant, parse_new_tenant

REQUIRED_COLUMN = "tenant_id"
COLUMNS = (REQUIRED_COLUMN, "company_name", "admin_email", "plan", "description", "principal")
_LONGEST_SHOWN = 50
_LONGEST_FIELD = 131_072  # csv's own limit; no column may be nearly as long
_NO_ID = frozenset({ErrorCode.INVALID_TENANT_ID, ErrorCode.RESERVED_TENANT_ID})
_UNCLOSED = "unexpected end of data"  # csv's own words


@dataclass(frozen=True)
class Row:
    """A row that is well-formed; `line` is the one it begins on, counted from 1 with the header."""

    line: int
    tenant: NewTenant


@dataclass(frozen=True)
class RowProblem:
    """What is wrong with a row, or what became of it; `tenant_id` as it is in the file, cut short."""

    line: int
    tenant_id: str
    message: str
    code: str = ErrorCode.INVALID_ARGUMENT


@dataclass(frozen=True)
class Rows:
    """What a file holds, both in the file's order."""

    good: list[Row]
    problems: list[RowProblem]


@dataclass(frozen=True)
class _Record:
    """The fields between two line ends outside quotes, on lines `first` to `last`; `broken` says why there are none."""

    first: int
    last: int
    fields: list[str]
    broken: str = ""

    @property
    def is_blank(self) -> bool:
        return not self.broken and not any(field.strip() for field in self.fields)


def decoded(content: bytes) -> str:
    """The file's text, without a byte order mark.

    Raises:
        PermanentError: INVALID_ARGUMENT, naming the line that is not UTF-8.
    """
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise PermanentError(
            ErrorCode.INVALID_ARGUMENT, f"Save the file as UTF-8: line {line} is in another encoding."
        ) from None


def read_rows(text: str) -> Rows:
    """The tenants of a file with a header row; blank rows are left out.

    Every row after the first one of a tenant id is a problem, also if that first one has a problem of its own.

    Raises:
        PermanentError: INVALID_ARGUMENT, the header is missing or names columns that there are not.
    """
    records = (record for record in _records(text) if not record.is_blank)
    columns = _columns(next(records, None))
    good: list[Row] = []
    problems: list[RowProblem] = []
    first_lines: dict[str, int] = {}
    for record in records:
        row = _row(record, columns, first_lines)
        if isinstance(row, Row):
            good.append(row)
        else:
            problems.append(row)
    return Rows(good, problems)


def _records(text: str) -> Iterator[_Record]:
    """The records by RFC 4180; after a broken one the next line begins another one."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    while True:
        first = reader.line_num + 1
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield _Record(first, reader.line_num, [], _in_words(str(error)))
        else:
            yield _Record(first, reader.line_num, fields)


def _in_words(error: str) -> str:
    if error == _UNCLOSED:
        return "Close the quote: one begins here and is open until the end of the file."
    if error.startswith("field larger"):
        return f"Shorten the field, or close its quote: it has more than {_LONGEST_FIELD} characters."
    return 'Quote the field as a whole, and write a quote inside it twice: "".'


def _columns(header: _Record | None) -> list[str]:
    if header is None:
        raise _bad_header("the file is empty")
    if header.broken:
        raise _bad_header(f"the first row is none ({header.broken})")
    columns = [field.strip() for field in header.fields]
    if unknown := [column for column in columns if column not in COLUMNS]:
        raise _bad_header(f"unknown columns: {', '.join(map(_shown, unknown))}")
    if twice := sorted({column for column in columns if columns.count(column) > 1}):
        raise _bad_header(f"columns named twice: {', '.join(twice)}")
    if REQUIRED_COLUMN not in columns:
        raise _bad_header(f"there is no column {REQUIRED_COLUMN}")
    return columns


def _bad_header(problem: str) -> PermanentError:
    others = ", ".join(COLUMNS[1:])
    return PermanentError(
        ErrorCode.INVALID_ARGUMENT,
        f"Begin the file with a row that names its columns, separated by commas: {problem}. There are {REQUIRED_COLUMN}, "
        f"which is required, and {others}.",
    )


def _row(record: _Record, columns: list[str], first_lines: dict[str, int]) -> Row | RowProblem:
    if record.broken:
        return RowProblem(record.first, "", record.broken)
    if len(record.fields) != len(columns):
        return RowProblem(record.first, "", _miscounted(record, len(columns)))
    fields = dict(zip(columns, record.fields, strict=True))
    row = _parsed(record.first, fields)
    if isinstance(row, RowProblem) and row.code in _NO_ID:
        return row
    tenant_id = fields[REQUIRED_COLUMN]
    first = first_lines.setdefault(tenant_id, record.first)
    if first != record.first:
        return RowProblem(
            record.first, tenant_id, f"Remove this row or line {first}: both ask for {tenant_id}."
        )
    return row


def _parsed(line: int, fields: Mapping[str, str]) -> Row | RowProblem:
    given = {name: value for name, value in fields.items() if value or name == REQUIRED_COLUMN}
    try:
        return Row(line, parse_new_tenant(**given))
    except PermanentError as error:
        message = error.message
        if error.code is ErrorCode.INVALID_TENANT_ID and _is_only_in_capitals(given[REQUIRED_COLUMN]):
            message = f"Write {given[REQUIRED_COLUMN].lower()}: a tenant id has no capitals."
        return RowProblem(line, _shown(given[REQUIRED_COLUMN]), message, error.code)


def _is_only_in_capitals(tenant_id: str) -> bool:
    try:
        parse_new_tenant(tenant_id=tenant_id.lower())
    except PermanentError:
        return False
    return True


def _miscounted(record: _Record, wanted: int) -> str:
    found = len(record.fields)
    message = f"Give {wanted} fields as the header does: this row has {found}."
    if record.last > record.first:
        return f"{message} It goes on to line {record.last}: is a quote left open?"
    if found > wanted:
        return f"{message} A comma inside a field needs quotes around the field."
    return message


def _shown(value: str) -> str:
    """A value of the file, harmless on a terminal and not longer than it is useful."""
    plain = value if value.isprintable() else ascii(value)
    return plain if len(plain) <= _LONGEST_SHOWN else f"{plain[: _LONGEST_SHOWN - 3]}..."
