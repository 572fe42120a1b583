"""The record of what each version of each declared table was, so that a change without a new version is noticed.

What belongs here: the file `catalogue/fingerprints.yaml`, its rule, and what is added to it. What BigQuery's tables
have is `schema_history.py`.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Final

import yaml
from pydantic import Field, TypeAdapter, ValidationError

from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.warehouse.model import TableSpec

RECORD: Final = Path(__file__).with_name("catalogue") / "fingerprints.yaml"

_HEADER: Final = """\
# What each version of each table was: a hash of its columns, partitioning and clustering.
# Written by scripts/record_catalogue.py; what is here is never changed, new versions are added.
"""

type Fingerprints = Mapping[str, Mapping[int, str]]
"""Table's name -> version -> fingerprint."""

_SHAPE: Final = TypeAdapter(
    dict[str, dict[str, dict[Annotated[int, Field(ge=1)], Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]]]]
)


def read_record(path: Path = RECORD) -> dict[str, dict[str, dict[int, str]]]:
    """What is recorded, by `central` or `tenant`, table and version.

    Raises:
        PermanentError: INVALID_CATALOGUE if the file is missing or is not such a record.
    """
    try:
        return _SHAPE.validate_python(yaml.safe_load(path.read_text("utf-8")))
    except (OSError, yaml.YAMLError, ValidationError):
        raise PermanentError(
            ErrorCode.INVALID_CATALOGUE,
            f"Restore {path.name} from the repository: it is missing or is no record of fingerprints.",
        ) from None


def check_versions(specs: Iterable[TableSpec], recorded: Fingerprints) -> None:
    """Refuse tables that changed without a new version, and versions that nobody recorded.

    Raises:
        PermanentError: INVALID_CATALOGUE, with one sentence for each such table.
    """
    wrong = [sentence for spec in specs if (sentence := _what_is_wrong(spec, recorded.get(spec.name, {})))]
    if wrong:
        raise PermanentError(ErrorCode.INVALID_CATALOGUE, "\n".join(wrong))


def with_versions(specs: Iterable[TableSpec], recorded: Fingerprints) -> dict[str, dict[int, str]]:
    """The record with the tables' present versions added; nothing that is in it is changed.

    Raises:
        PermanentError: INVALID_CATALOGUE for a table that changed without a new version.
    """
    specs = tuple(specs)
    added = {table: dict(versions) for table, versions in recorded.items()}
    for spec in specs:
        added.setdefault(spec.name, {}).setdefault(spec.version, spec.fingerprint)
    check_versions(specs, added)
    return added


def record_text(record: Mapping[str, Fingerprints]) -> str:
    """The file's text, tables and versions in order."""
    return _HEADER + yaml.safe_dump({kind: dict(tables) for kind, tables in record.items()}, sort_keys=True)


def _what_is_wrong(spec: TableSpec, versions: Mapping[int, str]) -> str | None:
    newest = max(versions, default=0)
    if spec.version > newest:
        return (
            f"Run scripts/record_catalogue.py and commit what it writes: version {spec.version} of table "
            f"{spec.name} is not recorded."
        )
    if spec.version < newest:
        return (
            f"Set `version: {newest + 1}` in {spec.name}.yaml: version {newest} of it is recorded, "
            "and versions only count up."
        )
    if versions[newest] != spec.fingerprint:
        return (
            f"Set `version: {newest + 1}` in {spec.name}.yaml and run scripts/record_catalogue.py: its columns, "
            f"partitioning or clustering are not those of version {newest} any more."
        )
    return None
