"""Dagster's own schema migrations, read once by a zygote and not four times by each of its workers.

What belongs here: this one shortcut. Dagster compares a storage's schema with the newest migration whenever it opens one,
and alembic then executes 90 files to know which is the newest: 0.1 s of each run, a third of a run that does little.
"""

import contextlib

from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util import CommandError

_DAGSTERS = "dagster:_core/storage/alembic"
"""Where Dagster says that its migrations are (`ALEMBIC_SCRIPTS_LOCATION`); elsewhere in a later version, nothing is saved."""


def read_once() -> None:
    """Read Dagster's migrations now and have this process, and its forks, use them instead of reading them again."""
    read = ScriptDirectory.from_config
    config = Config()
    config.set_main_option("script_location", _DAGSTERS)
    with contextlib.suppress(CommandError, ImportError):
        known = read(config)
        known.as_revision_number("head")  # reads the files

        def known_or_read(asked: Config) -> ScriptDirectory:
            return known if asked.get_main_option("script_location") == _DAGSTERS else read(asked)

        ScriptDirectory.from_config = known_or_read  # type: ignore[method-assign, assignment]
