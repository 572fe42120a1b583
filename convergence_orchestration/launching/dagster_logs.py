"""Dagster's own log lines in the format of ours.

What belongs here: the replacements in Dagster's modules, of functions that would set up handlers of its own. The module to
look at when dagster is upgraded, beside `worker.py` and `shortcuts.py` (dagster 1.13).
"""

import logging

import dagster._loggers
import dagster._utils.log

_OF_PROCESSES = ("dagster", "dagster-webserver")
_OF_RUNS = "dagster.run"


def take_over() -> None:
    """From now on what Dagster logs in this process goes through the root logger, which `logs.configure` has set up.

    What a run logs goes there from INFO on: its events are DEBUG, and Dagster stores all of them anyway.
    """
    dagster._utils.log.configure_loggers = _configure_loggers  # noqa: SLF001 see the module
    dagster._loggers.create_console_logger = _create_console_logger  # type: ignore[attr-defined]  # noqa: SLF001
    for name in _OF_PROCESSES:
        logging.getLogger(name).setLevel(logging.INFO)


def _configure_loggers(
    handler: str = "default", formatter: str = "colored", log_level: str | int = "INFO"
) -> None:
    """Stands for Dagster's: levels alone; the handler stays the root's."""
    del handler, formatter
    for name in _OF_PROCESSES:
        logging.getLogger(name).setLevel(log_level)


def _create_console_logger(name: str, level: str | int) -> logging.Logger:
    """Stands for Dagster's, which each run without a logger in its config gets."""
    del name, level
    return logging.getLogger(_OF_RUNS)
