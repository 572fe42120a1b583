"""What a worker does with Dagster: import a code location, execute one run.

The module to look at when dagster is upgraded: it calls what `dagster api execute_run` calls (dagster 1.13). What becomes
of a run whose worker died is in `lost.py`.
"""

import contextlib
import importlib
import os
import signal
import time
from functools import cache
from pathlib import Path

from dagster import DagsterInstance, DagsterRun, DagsterRunStatus
from dagster._cli.api import _execute_run_command_body
from dagster._core.instance.ref import InstanceRef
from dagster._core.origin import RepositoryPythonOrigin
from dagster._serdes import ConfigurableClassData, deserialize_value
from dagster._utils.hosted_user_process import recon_repository_from_origin
from dagster._utils.interrupts import capture_interrupts

from convergence_orchestration import logs, tracing
from convergence_orchestration.launching import dagster_logs, shortcuts
from convergence_orchestration.launching.model import LaunchRequest
from convergence_orchestration.launching.processes import own_identity
from convergence_orchestration.launching.records import RunRecords
from convergence_orchestration.launching.run_lines import TRACE_TAG, fields_of
from convergence_orchestration.settings import Settings, load_settings

_IMPORTED_BY_MOST_RUNS = (
    "alembic.command",
    "dagster._core.execution.plan.active",
    "dagster._core.executor.in_process",
    "dagster._core.instance.factory",
    "dagster._core.storage.migration",
    "dagster._core.system_config.composite_descent",
    "fsspec.implementations.local",
    "sqlalchemy.dialects.sqlite",
    "upath.implementations.local",
)
"""What Dagster imports late; a name that is gone in a later version costs a worker a few milliseconds, no more."""

_log = logs.logger(__name__)

_IN_A_HURRY = (
    "convergence_orchestration.releases.traffic.opening",
    "convergence_orchestration.health.opening",
)
"""What of ours is imported late because most processes never need it, but by runs that must not wait for it, as a rollback, or
that come every minute, as the probes."""


def preload(request: LaunchRequest) -> tuple[Path, ...]:
    """Import the code location and whatever else a run will need, without opening a storage or a connection.

    Returns files that count as the code although no import tells of them: `.env`, and the code location's own file where it
    is loaded from one. Raises whatever the code raises.
    """
    ref = deserialize_value(request.instance_ref, InstanceRef)
    _load_environment(ref, request.location.name)
    log_as_ours()
    for name in (*_IMPORTED_BY_MOST_RUNS, *_IN_A_HURRY):
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    for part in ref:
        if isinstance(part, ConfigurableClassData):
            importlib.import_module(part.module_name)
    shortcuts.take()
    origin = deserialize_value(request.location.origin, RepositoryPythonOrigin)
    recon_repository_from_origin(origin).get_definition()
    file = getattr(origin.code_pointer, "python_file", None)
    environment_file = Path.cwd() / ".env"
    return (environment_file, Path(file)) if file else (environment_file,)


def execute(records: RunRecords, run_id: str) -> int:
    """Execute a run in this process, as its only worker; the process's exit code.

    A run that is no longer asked for, or that another process claimed, is left alone. Interrupts (SIGINT, SIGTERM) end
    the run as Dagster ends it: canceled if somebody asked for that, else failed.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with capture_interrupts():
        request = records.request(run_id)
        if request is None or not records.claim(run_id, own_identity()):
            return 0
        with DagsterInstance.from_ref(deserialize_value(request.instance_ref, InstanceRef)) as instance:
            _execute_unless_canceled(instance, run_id)
            run = instance.get_run_by_id(run_id)
            if run is None or run.is_finished:
                records.finish(run_id)
                return 0
    return 1


@cache
def log_as_ours() -> Settings:
    """Set this process's log lines up, Dagster's included, once; the settings, which a worker has from its zygote.

    Raises:
        PermanentError: INVALID_SETTINGS.
    """
    settings = load_settings()
    logs.configure(settings)
    dagster_logs.take_over()
    return settings


def _execute_unless_canceled(instance: DagsterInstance, run_id: str) -> None:
    run = instance.get_run_by_id(run_id)
    log_as_ours()
    if run is not None:
        logs.carry(**fields_of(run_id, run.job_name, run.tags))
    if run is not None and run.status == DagsterRunStatus.CANCELING:
        instance.report_run_canceled(run, message="The run was canceled before its worker started.")
    elif run is not None:
        _execute(instance, run)


def _execute(instance: DagsterInstance, run: DagsterRun) -> None:
    tracing.start(log_as_ours(), "convergence-run")
    _log.info("Run started")
    began = time.monotonic()
    with tracing.run_span(run.job_name, run.run_id, run.tags.get(TRACE_TAG, "")):
        _execute_run_command_body(run.run_id, instance, lambda _event: None, set_exit_code_on_failure=False)
    after = instance.get_run_by_id(run.run_id)
    status = after.status.value if after else "DELETED"
    _log.info("Run ended", status=status, duration_ms=round((time.monotonic() - began) * 1000, 1))
    tracing.stop()


def _load_environment(ref: InstanceRef, location_name: str) -> None:
    """What Dagster's code server does before it imports the code: `.env` of the project, by the instance's loader."""
    loader = ref.secrets_loader
    if loader is not None:
        os.environ.update(loader.get_secrets_for_environment(location_name))
