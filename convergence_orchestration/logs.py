"""JSON log lines in the guide's format, for every process of ours.

What belongs here: how a line looks and what it must never hold. structlog renders both our own events and those of
the standard library's loggers, so no extra field can clash with a LogRecord attribute. Warnings and what ends a process
are lines too.
"""

import io
import logging
import sys
import threading
from collections.abc import Mapping, MutableMapping
from types import TracebackType
from typing import Any

import structlog
from pydantic import SecretBytes, SecretStr
from structlog.typing import Processor

from convergence_orchestration.settings import Settings

_OURS = "convergence_orchestration"
_OWN = frozenset({"timestamp", "severity", "name", "msg", "level", "logger"})
_DAGSTERS = "dagster_meta"
"""The attribute in which Dagster's own records carry what they are about."""
_carried: dict[str, Any] = {}


def _to_standard_error(*_arguments: object) -> structlog.PrintLogger:
    return structlog.PrintLogger(sys.stderr)


# A process that configures nothing is a command, whose standard output is for a program: a key alone, for example.
structlog.configure(logger_factory=_to_standard_error)


def configure(settings: Settings) -> None:
    """Send every log line of this process to standard error as one JSON object."""
    structlog.configure(
        processors=_of_our_loggers(),
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_formatter())
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.INFO)
    logging.getLogger(_OURS).setLevel(settings.log_level)
    logging.getLogger("httpx").setLevel(logging.WARNING)  # it logs each call's URL at INFO
    logging.captureWarnings(capture=True)
    sys.excepthook = _tell_what_ends_us
    threading.excepthook = _tell_what_ended_a_thread


def carry(**fields: object) -> None:
    """Have each later line of this process say these as well, in every thread, unless the line says it otherwise.

    For a process that does one thing, as a run's worker does; a field of None is carried no more.
    """
    for name, value in fields.items():
        if value is None:
            _carried.pop(name, None)
        else:
            _carried[name] = value


def sample(**fields: object) -> str:
    """The line that a logger of ours would write with these fields; it is written nowhere."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_formatter())
    unregistered = logging.Logger(f"{_OURS}.sample")  # noqa: LOG001 nobody else is to find it
    unregistered.addHandler(handler)
    ours = structlog.wrap_logger(
        unregistered, processors=_of_our_loggers(), wrapper_class=structlog.stdlib.BoundLogger
    )
    ours.info("A sample.", **fields)
    return stream.getvalue()


def _shared() -> list[Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        _make_room,
        _add_carried,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="timestamp"),
        structlog.processors.format_exc_info,
    ]


def _of_our_loggers() -> list[Processor]:
    return [*_shared(), structlog.stdlib.ProcessorFormatter.wrap_for_formatter]


def _formatter() -> logging.Formatter:
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[structlog.stdlib.ExtraAdder(), *_shared()],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            _as_in_the_guide,
            structlog.processors.JSONRenderer(default=str),
        ],
    )


def logger(name: str) -> structlog.stdlib.BoundLogger:
    """A logger whose keyword arguments become fields of the line; the name is the module's."""
    bound: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name)
    return bound


def _make_room(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A caller's field that is called like one of the line's own gets an underscore behind its name."""
    for name in _OWN & event.keys():
        event[f"{name}_"] = event.pop(name)
    return event


def _add_carried(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for name, value in _carried.items():
        event.setdefault(name, value)
    return event


def _of_dagster(event: MutableMapping[str, Any]) -> None:
    """Take from one of Dagster's records what a line should say of it; the rest is in Dagster's own storage."""
    about = event.pop(_DAGSTERS, None)
    event.pop("dagster_event", None)
    event.pop("dagster_event_batch_metadata", None)
    if not isinstance(about, Mapping):
        return
    event["event"] = about.get("orig_message") or event["event"]
    for field, name in (("run_id", "run_id"), ("job_name", "job"), ("step_key", "step")):
        if about.get(field):
            event.setdefault(name, about[field])


def _as_in_the_guide(
    _logger: object, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Order and name the fields as the guide's example does, and show no secret whatever its field is called."""
    _of_dagster(event)
    line: dict[str, Any] = {
        "timestamp": event.pop("timestamp"),
        "severity": str(event.pop("level")).upper(),
        "name": event.pop("logger"),
        "msg": event.pop("event"),
    }
    for name, value in event.items():
        line[name] = "**********" if isinstance(value, SecretStr | SecretBytes) else value
    return line


def _tell_what_ends_us(
    kind: type[BaseException], error: BaseException, traceback: TracebackType | None
) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, traceback)
        return
    logger(_OURS).critical("The process ends by an error.", exc_info=(kind, error, traceback))


def _tell_what_ended_a_thread(args: threading.ExceptHookArgs) -> None:
    if args.exc_value is None or isinstance(args.exc_value, SystemExit):
        return
    thread = args.thread.name if args.thread else None
    error = (args.exc_type, args.exc_value, args.exc_traceback)
    logger(_OURS).error("A thread ended by an error.", thread=thread, exc_info=error)
