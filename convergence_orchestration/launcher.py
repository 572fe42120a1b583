"""The run launcher for `dagster.yaml`: forks a worker for each run from a process that has the code imported.

What belongs here: Dagster's side of launching: its RunLauncher interface, events in a run's log, and the way back to the
default launcher. The processes and their files are in `launching/`.
"""

import logging
import os
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self

from dagster import DagsterInstance, DagsterRun, DefaultRunLauncher, Field, IntSource
from dagster._core.launcher import CheckRunHealthResult, LaunchRunContext, RunLauncher, WorkerStatus
from dagster._core.remote_origin import GrpcServerCodeLocationOrigin
from dagster._core.storage.tags import GRPC_INFO_TAG
from dagster._serdes import ConfigurableClass, ConfigurableClassData, serialize_value

from convergence_orchestration.errors import ErrorCode, PermanentError, TransientError
from convergence_orchestration.launching import lost
from convergence_orchestration.launching.client import ask_or_start, impossible_because, resume
from convergence_orchestration.launching.health import WorkerHealth, judge
from convergence_orchestration.launching.model import NO_WORKER, CodeLocation, LaunchRequest, Limits
from convergence_orchestration.launching.paths import LaunchPaths, launch_paths
from convergence_orchestration.launching.processes import is_alive
from convergence_orchestration.launching.records import RunRecords

_LOCAL_HOSTS = frozenset({"localhost", "127.0.0.1", "::1", "0.0.0.0"})  # noqa: S104 where a code server may listen
_log = logging.getLogger("dagster.fork_server_run_launcher")


class ForkServerRunLauncher(RunLauncher[DagsterInstance], ConfigurableClass):
    """Launches each run as a fork of a process that has the run's code location imported.

    A run starts within a fraction of a second instead of the seconds that a fresh process takes to import. Every worker
    is a process of its own; it is watched, so a killed one is noticed and its run fails (and is retried, with
    `run_retries`). Changed code is imported anew before the next run. Where forking is impossible, or the fork server does
    not start, runs are launched as by DefaultRunLauncher, and both the log and the run say so.

    The web server, the daemon and the workers must share one machine and one Dagster home.
    """

    def __init__(
        self,
        max_concurrent_workers: int = 4,
        termination_grace_seconds: int = 30,
        idle_minutes: int = 30,
        inst_data: ConfigurableClassData | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        _check_is_positive(
            max_concurrent_workers=max_concurrent_workers,
            termination_grace_seconds=termination_grace_seconds,
            idle_minutes=idle_minutes,
        )
        self._limits = Limits(workers=max_concurrent_workers, idle_seconds=idle_minutes * 60.0)
        self._grace = float(termination_grace_seconds)
        self._inst_data = inst_data
        self._default = DefaultRunLauncher()
        self._server_ids: dict[str, str] = {}

    @property
    def inst_data(self) -> ConfigurableClassData | None:
        """What dagster.yaml says of this launcher."""
        return self._inst_data

    @classmethod
    def config_type(cls) -> dict[str, Field]:
        """The schema of `run_launcher: config:` in dagster.yaml."""
        return {
            "max_concurrent_workers": Field(
                IntSource,
                is_required=False,
                default_value=4,
                description="How many runs execute at once on this machine; further ones wait in status STARTING, in a "
                "queue on disk. Keep run_monitoring's start_timeout_seconds above the longest wait.",
            ),
            "termination_grace_seconds": Field(
                IntSource,
                is_required=False,
                default_value=30,
                description="A run that is terminated is interrupted (SIGTERM); if its process is still there after "
                "as many seconds, it is killed.",
            ),
            "idle_minutes": Field(
                IntSource,
                is_required=False,
                default_value=30,
                description="The fork server, which holds the imported code in memory, ends when there was no run for "
                "as many minutes; the next run starts it again.",
            ),
        }

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> Self:
        """The launcher that dagster.yaml describes."""
        return cls(inst_data=inst_data, **config_value)

    def register_instance(self, instance: DagsterInstance) -> None:
        """Belong to an instance; runs that an earlier fork server left waiting are taken up again."""
        super().register_instance(instance)
        self._default.register_instance(instance)
        self._resume_what_waits()

    def launch_run(self, context: LaunchRunContext) -> None:
        """Have a worker execute the run, at once or when one of those that run has ended."""
        run = context.dagster_run
        reason = impossible_because()
        if not reason:
            reason = not_ours_because(run) or self._refused_because(run, context)
            if not reason or not self._take_back(run):
                return
        self._launch_by_default(context, reason)

    def terminate(self, run_id: str) -> bool:
        """Interrupt a run, and kill its worker if it does not end; False if it has ended already."""
        run = self._instance.get_run_by_id(run_id)
        if run is None or run.is_finished:
            return False
        if GRPC_INFO_TAG in run.tags:
            return bool(self._default.terminate(run_id))  # type: ignore[no-untyped-call]
        self._instance.report_run_canceling(run)
        try:
            message = {"ask": "cancel", "run_id": run_id, "grace": self._grace}
            outcome = ask_or_start(self._paths, message)["outcome"]
        except TransientError as error:
            self._instance.report_engine_event(
                f"The worker cannot be interrupted: {error.message}.", run, cls=type(self)
            )
            return False
        if outcome == "signalled":
            return True
        current = self._instance.get_run_by_id(run_id)
        if current is not None and not current.is_finished:
            self._instance.report_run_canceled(current, message="The run was canceled; it had no worker.")
        return True

    @property
    def supports_check_run_worker_health(self) -> bool:
        """Run monitoring may ask."""
        return True

    def check_run_worker_health(self, run: DagsterRun) -> CheckRunHealthResult:
        """Whether the worker's process lives; runs of the default launcher are watched by their code server."""
        if GRPC_INFO_TAG in run.tags:
            return CheckRunHealthResult(
                WorkerStatus.RUNNING, "Launched by the default launcher, which watches it."
            )
        health = self._health(run)
        if not health.is_running:
            # run monitoring would mark the run itself, in an order that may lose its retry; it sees that it is done
            lost.report(self._instance, run.run_id, f"Run monitoring found no worker. {health.message}")
        self._resume_what_waits()
        status = WorkerStatus.RUNNING if health.is_running else WorkerStatus.FAILED
        return CheckRunHealthResult(status, health.message)

    def get_run_worker_debug_info(self, run: DagsterRun, include_container_logs: bool | None = True) -> str:  # noqa: FBT001, FBT002 Dagster's signature
        """What is known of the run's worker, for people."""
        del include_container_logs
        printed = f"What workers print besides their ops' output is in {self._paths.workers_log}."
        return f"{self._health(run).message} {printed}"

    @property
    def supports_resume_run(self) -> bool:
        """No: in-process runs keep no state that a second worker could resume from; `run_retries` starts them anew."""
        return False

    @property
    def _paths(self) -> LaunchPaths:
        return launch_paths(self._instance.root_directory)

    @property
    def _records(self) -> RunRecords:
        return RunRecords(self._paths.runs)

    def _health(self, run: DagsterRun) -> WorkerHealth:
        return judge(self._records.request(run.run_id), self._records.worker(run.run_id), is_alive)

    def _refused_because(self, run: DagsterRun, context: LaunchRunContext) -> str:
        """Have the fork server see to a run; why it does not, empty if it does."""
        try:
            self._launch(run, context)
        except TransientError as error:
            return error.message
        return ""

    def _launch(self, run: DagsterRun, context: LaunchRunContext) -> None:
        request = _request_for(run, self._instance)
        self._accept(request)
        message = {
            "ask": "launch",
            "run_id": run.run_id,
            "environment": dict(os.environ),
            "limits": asdict(self._limits),
            "was_reloaded": self._was_reloaded(request.location.name, context),
        }
        if ask_or_start(self._paths, message)["is_held_up"]:
            self._instance.report_engine_event(
                f"Waits for a worker: {self._limits.workers} runs execute already (max_concurrent_workers).",
                run,
                cls=type(self),
            )

    def _accept(self, request: LaunchRequest) -> None:
        """Write the request down: from here on the run is executed, whoever is killed."""
        try:
            self._paths.make_directories()
            self._records.accept(request)
        except OSError as error:
            raise TransientError(
                ErrorCode.UNAVAILABLE, f"the request cannot be written down: {error}"
            ) from error

    def _was_reloaded(self, location: str, context: LaunchRunContext) -> bool:
        """Whether somebody reloaded the code location since the last launch of this process."""
        if context.workspace is None:
            return False
        server_id = getattr(context.workspace.get_code_location(location), "server_id", None)
        before = self._server_ids.get(location)
        if server_id:
            self._server_ids[location] = server_id
        return before is not None and server_id != before

    def _take_back(self, run: DagsterRun) -> bool:
        """Make sure that no worker of ours ever executes the run; False if one does, of a server that did not answer."""
        try:
            self._paths.make_directories()
            if not self._records.claim(run.run_id, NO_WORKER):
                return False
            self._records.close(run.run_id)
        except OSError:
            return not self._records.worker(run.run_id)
        return True

    def _launch_by_default(self, context: LaunchRunContext, reason: str) -> None:
        message = f"Launched by DefaultRunLauncher, in a fresh process: {reason}."
        _log.warning("Run %s: %s", context.dagster_run.run_id, message)
        self._instance.report_engine_event(message, context.dagster_run, cls=type(self))
        self._default.launch_run(context)

    def _resume_what_waits(self) -> None:
        """Have a server running if runs wait for one; whoever loads the instance is a chance to notice."""
        if impossible_because():
            return
        try:
            resume(self._paths)
        except (TransientError, OSError) as error:
            _log.warning("Runs wait for a worker, but no fork server can be started: %s", error)


def not_ours_because(run: DagsterRun) -> str:
    """Why a run cannot be executed from a fork on this machine; empty if it can."""
    code, remote = run.job_code_origin, run.remote_job_origin
    if code is None or remote is None:
        return "the run does not say where its code is"
    if Path(code.executable_path) != Path(sys.executable):
        return f"its code location has a Python of its own ({code.executable_path})"
    server = remote.repository_origin.code_location_origin
    if isinstance(server, GrpcServerCodeLocationOrigin) and not (
        server.socket or server.host in _LOCAL_HOSTS
    ):
        return f"its code location is served by another machine ({server.host})"
    return ""


def _request_for(run: DagsterRun, instance: DagsterInstance) -> LaunchRequest:
    code, remote = run.job_code_origin, run.remote_job_origin
    if code is None or remote is None:
        raise PermanentError(ErrorCode.INTERNAL, "A run without a code origin cannot be asked for.")
    return LaunchRequest(
        run_id=run.run_id,
        job_name=run.job_name,
        location=CodeLocation(
            name=remote.location_name,
            executable=code.executable_path,
            origin=serialize_value(code.repository_origin),
            working_directory=os.fspath(Path.cwd()),
        ),
        instance_ref=serialize_value(instance.get_ref()),
        accepted_at=time.time_ns(),
    )


def _check_is_positive(**settings: int) -> None:
    for name, value in settings.items():
        if value < 1:
            raise PermanentError(
                ErrorCode.INVALID_SETTINGS,
                f"Set run_launcher.config.{name} in dagster.yaml to 1 or more, not {value}.",
            )
