"""What is made once rather than again and again; the storages with them are tested by every run of test_launcher.py."""

from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from dagster._core.storage.runs.sqlite import sqlite_run_storage
from dagster._core.storage.sql import get_alembic_config
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

from convergence_orchestration.launching.shortcuts import keep_engines, read_migrations_once


@pytest.fixture(autouse=True)
def what_is_replaced_is_put_back(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(ScriptDirectory, "from_config", ScriptDirectory.from_config)
    yield
    monkeypatch.undo()


def test_dagster_s_migrations_are_read_once_and_others_as_ever(tmp_path: Path) -> None:
    dagsters = get_alembic_config(sqlite_run_storage.__file__)
    before = ScriptDirectory.from_config(dagsters).as_revision_number("head")
    others = Config()
    others.set_main_option("script_location", str(tmp_path))

    read_migrations_once()

    assert ScriptDirectory.from_config(dagsters) is ScriptDirectory.from_config(dagsters)
    assert ScriptDirectory.from_config(dagsters).as_revision_number("head") == before
    assert ScriptDirectory.from_config(others) is not ScriptDirectory.from_config(others)


def test_a_storage_has_one_engine_for_each_database_and_way_to_open_it() -> None:
    storage = ModuleType("storage")
    storage.create_engine = create_engine  # type: ignore[attr-defined]

    keep_engines(storage)

    create = storage.create_engine
    assert create("sqlite://", poolclass=NullPool) is create("sqlite://", poolclass=NullPool)
    assert create("sqlite://", poolclass=NullPool) is not create("sqlite://")
    assert create("sqlite:///a") is not create("sqlite:///b")


def test_a_storage_that_makes_engines_in_another_way_is_left_alone() -> None:
    storage = ModuleType("storage")

    keep_engines(storage)

    assert not hasattr(storage, "create_engine")
