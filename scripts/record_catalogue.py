"""Records the catalogue's present versions: .venv/bin/python scripts/record_catalogue.py, after raising `version:`.

What belongs here: reading, writing, and saying what was added. The rule is `warehouse/versions.py`.
"""

import sys

from convergence_orchestration.errors import PermanentError
from convergence_orchestration.warehouse.catalogue import FILES, load_tables
from convergence_orchestration.warehouse.versions import RECORD, read_record, record_text, with_versions


def main() -> int:
    """0 if the record fits the catalogue now, 1 with what to do if it cannot."""
    recorded = read_record() if RECORD.exists() else {}
    try:
        new = {
            kind: with_versions(load_tables(FILES / kind), recorded.get(kind, {}))
            for kind in ("central", "tenant")
        }
    except PermanentError as error:
        print(error.message, file=sys.stderr)
        return 1
    for kind, tables in new.items():
        for table, versions in tables.items():
            for version in versions.keys() - recorded.get(kind, {}).get(table, {}).keys():
                print(f"{kind}/{table}: version {version} recorded")
    RECORD.write_text(record_text(new), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
