"""What Dagster's SQLite storages do again and again in a run and need to do once.

What belongs here: replacements of single functions of libraries, made in a zygote before it forks and seen by its workers
alone. Each changes how long something takes and nothing else; together they halve what a run that does little computes.
"""

import contextlib
from types import ModuleType
from typing import Any

from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from dagster._core.storage.event_log.sqlite import sqlite_event_log
from dagster._core.storage.runs.sqlite import sqlite_run_storage
from dagster._core.storage.schedules.sqlite import sqlite_schedule_storage
from sqlalchemy import Engine

_DAGSTERS = "dagster:_core/storage/alembic"
"""Where Dagster says that its migrations are (`ALEMBIC_SCRIPTS_LOCATION`); elsewhere in a later version, nothing is saved."""


def take() -> None:
    """Take all of them in this process and its forks."""
    read_migrations_once()
    for storage in (sqlite_run_storage, sqlite_event_log, sqlite_schedule_storage):
        keep_engines(storage)


def read_migrations_once() -> None:
    """Read Dagster's schema migrations now.

    Whenever Dagster opens a storage it asks alembic which migration is the newest, and alembic executes 90 files to know:
    0.1 s of each run.
    """
    read = ScriptDirectory.from_config
    config = Config()
    config.set_main_option("script_location", _DAGSTERS)
    with contextlib.suppress(CommandError, ImportError):
        known = read(config)
        known.as_revision_number("head")  # reads the files

        def known_or_read(asked: Config) -> ScriptDirectory:
            return known if asked.get_main_option("script_location") == _DAGSTERS else read(asked)

        ScriptDirectory.from_config = known_or_read  # type: ignore[method-assign, assignment]


def keep_engines(storage: ModuleType) -> None:
    """Have a storage's module make one engine for each database.

    Dagster makes a new one for each query, so no compiled statement is ever used twice. They have no connection pool, so that
    nothing is left open between queries, as before.
    """
    create = getattr(storage, "create_engine", None)
    if create is None:  # in a later version
        return
    engines: dict[str, Engine] = {}

    def made_before_or_create(url: str, **options: Any) -> Engine:  # noqa: ANN401 SQLAlchemy's
        key = f"{url} {options}"
        if key not in engines:
            engines[key] = create(url, **options)
        return engines[key]

    storage.create_engine = made_before_or_create  # type: ignore[attr-defined]
