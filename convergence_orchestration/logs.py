"""JSON log lines in the guide's format, for every process of ours.

What belongs here: how a line looks and what it must never hold. structlog renders both our own events and those of
the standard library's loggers, so no extra field can clash with a LogRecord attribute.
"""

import logging
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog
from pydantic import SecretBytes, SecretStr
from structlog.typing import Processor

from convergence_orchestration.settings import Settings

_OURS = "convergence_orchestration"
_OWN = frozenset({"timestamp", "severity", "name", "msg", "level", "logger"})


def _to_standard_error(*_arguments: object) -> structlog.PrintLogger:
    return structlog.PrintLogger(sys.stderr)


# A process that configures nothing is a command, whose standard output is for a program: a key alone, for example.
structlog.configure(logger_factory=_to_standard_error)


def configure(settings: Settings) -> None:
    """Send every log line of this process to standard error as one JSON object."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        _make_room,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="timestamp"),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[structlog.stdlib.ExtraAdder(), *shared],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            _as_in_the_guide,
            structlog.processors.JSONRenderer(default=str),
        ],
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.INFO)
    logging.getLogger(_OURS).setLevel(settings.log_level)
    logging.getLogger("httpx").setLevel(logging.WARNING)  # it logs each call's URL at INFO


def logger(name: str) -> structlog.stdlib.BoundLogger:
    """A logger whose keyword arguments become fields of the line; the name is the module's."""
    bound: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name)
    return bound


def _make_room(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A caller's field that is called like one of the line's own gets an underscore behind its name."""
    for name in _OWN & event.keys():
        event[f"{name}_"] = event.pop(name)
    return event


def _as_in_the_guide(
    _logger: object, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Order and name the fields as the guide's example does, and show no secret whatever its field is called."""
    line: dict[str, Any] = {
        "timestamp": event.pop("timestamp"),
        "severity": str(event.pop("level")).upper(),
        "name": event.pop("logger"),
        "msg": event.pop("event"),
    }
    for name, value in event.items():
        line[name] = "**********" if isinstance(value, SecretStr | SecretBytes) else value
    return line
