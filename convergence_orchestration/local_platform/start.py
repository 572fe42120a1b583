"""Bringing a platform up: what is checked and prepared before its supervisor starts, and waiting until it is healthy.

What belongs here: the starter's side. It holds the lock first and hands it on, so that of two starts at once one gives way.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.local_platform import cloud_run, dagster_home, leftovers, log_files, record
from convergence_orchestration.local_platform.child import described
from convergence_orchestration.local_platform.directory import SUPERVISOR_LOG, DataDirectory
from convergence_orchestration.local_platform.environment import (
    environment_of,
    listening_host,
    platform_environment,
    remembered,
)
from convergence_orchestration.local_platform.lifeline import LET_GO
from convergence_orchestration.local_platform.model import (
    AdminKeySource,
    PlatformRecord,
    PlatformState,
    ServiceName,
    ServiceState,
)
from convergence_orchestration.local_platform.ports import Ports, require_free
from convergence_orchestration.settings import Environment, Settings

Progress = Callable[[PlatformRecord], None]
"""Called with the record whenever it has been looked at, about ten times a second."""

_LOOK_SECONDS = 0.1
_LOCK_SECONDS = 0.5  # whoever only looks whether it is locked holds it for a moment
_TAIL_LINES = 20


class AlreadyRuns(PermanentError):  # noqa: N818 its name is the fact
    """A platform is running in the data directory, or is being started or stopped there.

    Attributes:
        platform: its record, None if it has just begun to start.
    """

    def __init__(self, directory: DataDirectory, platform: PlatformRecord | None) -> None:
        super().__init__(
            ErrorCode.ALREADY_EXISTS,
            f"A platform already runs in {directory.path}: stop it with `convergence down`, or choose another --data-dir.",
        )
        self.platform = platform


@dataclass
class Running:
    """A started platform that this process holds by its lifeline."""

    directory: DataDirectory
    _supervisor: "subprocess.Popen[bytes]"
    orphans_ended: int

    def wait_until_healthy(self, progress: Progress) -> PlatformRecord:
        """The record, once every service is healthy.

        Raises:
            PermanentError: FAILED_PRECONDITION: it could not be started, with the end of the log that tells why.
        """
        while True:
            exit_code = self._supervisor.poll()  # before the record is read, so that its last state is seen
            platform = self._platform()
            progress(platform)
            if exit_code is not None:
                self._end_what_is_left()
                raise PermanentError(
                    ErrorCode.FAILED_PRECONDITION, _failure(self.directory, platform, exit_code)
                )
            if platform.state is PlatformState.RUNNING:
                return platform
            time.sleep(_LOOK_SECONDS)

    def let_go(self) -> None:
        """Let the platform outlive this process."""
        lifeline = self._supervisor.stdin
        if lifeline is not None:
            with contextlib.suppress(BrokenPipeError):
                lifeline.write(LET_GO)
                lifeline.close()

    def wait_for_end(self) -> PlatformRecord:
        """Wait until the supervisor has ended, for whatever reason: the record after that."""
        self._supervisor.wait()
        if self._supervisor.stdin:
            self._supervisor.stdin.close()
        self._end_what_is_left()
        return self._platform()

    def stop(self) -> PlatformRecord:
        """Stop everything and wait for it: the record after that. Asked again meanwhile, it kills instead of waiting."""
        lifeline = self._supervisor.stdin
        if lifeline is None or lifeline.closed:
            self._supervisor.send_signal(signal.SIGTERM)
        else:
            lifeline.close()  # unlike a signal this is not lost on a supervisor that has only just begun
        while True:
            try:
                return self.wait_for_end()
            except KeyboardInterrupt:
                self._supervisor.send_signal(signal.SIGTERM)

    def _platform(self) -> PlatformRecord:
        platform = record.read(self.directory)
        if platform is None:
            raise PermanentError(
                ErrorCode.FAILED_PRECONDITION,
                f"Start again: {self.directory.path} was removed while a platform ran in it.",
            )
        return platform

    def _end_what_is_left(self) -> None:
        """End what a killed supervisor leaves behind; after an orderly end there is nothing."""
        leftovers.end(self.directory, self._platform(), grace=10)


def start(directory: DataDirectory, settings: Settings, base_port: int | None = None) -> Running:
    """Start the platform of `directory`; returns as soon as its supervisor has been started.

    Args:
        directory: where it keeps everything.
        settings: what it is to be like.
        base_port: the API's port; None: as the last time here, unless API_PORT has changed since; else API_PORT.

    Raises:
        AlreadyRuns: a platform runs there.
        PermanentError: the directory or the ports cannot be used, with a sentence about each.
    """
    _check_admin_key(settings)
    directory.create()
    lock = directory.lock(patience=_LOCK_SECONDS)
    if lock is None:
        raise AlreadyRuns(directory, record.read(directory))
    try:
        return _start_locked(directory, settings, base_port, lock)
    finally:
        os.close(lock)  # the supervisor has its own copy


def _start_locked(directory: DataDirectory, settings: Settings, base_port: int | None, lock: int) -> Running:
    last = record.read(directory)
    if last is not None:
        _check_environment(directory, environment_of(last), settings.environment)
    orphans = leftovers.end(directory, last, grace=10) if last else 0
    ports = Ports(base_port or _recorded_base_port(last, settings) or settings.api_port)
    host = listening_host(settings)
    require_free(ports, host)
    is_first_start = dagster_home.prepare(directory, ports)
    platform = PlatformRecord(
        platform_id=uuid.uuid4().hex,
        base_port=ports.base,
        api_port_setting=settings.api_port,
        api_host=host,
        admin_key_source=(
            AdminKeySource.ENVIRONMENT if settings.admin_api_key else AdminKeySource.SECRET_MANAGER
        ),
        variables=remembered(settings, directory),
    )
    record.write(directory, platform)
    environment = platform_environment(settings, ports, directory, platform.platform_id)
    supervisor = _start_supervisor(directory, environment, lock, is_first_start=is_first_start)
    return Running(directory, supervisor, orphans)


def _check_admin_key(settings: Settings) -> None:
    """Refuse an ADMIN_API_KEY that the API would refuse, before anything is started."""
    if settings.admin_api_key is None:
        return
    from convergence_orchestration.keys import admin  # noqa: PLC0415 with Google's libraries, and seldom wanted

    admin.check(settings.admin_api_key, settings.environment, "ADMIN_API_KEY")


def _check_environment(directory: DataDirectory, found: Environment, wanted: Environment) -> None:
    """Refuse to mix two environments: what one of them made stays in the directory."""
    if found is not wanted:
        raise PermanentError(
            ErrorCode.FAILED_PRECONDITION,
            f"Choose another --data-dir for {wanted}, or start what is there with --environment {found}: {directory.path} "
            f"holds the platform of {found}.",
        )


def _recorded_base_port(last: PlatformRecord | None, settings: Settings) -> int | None:
    if last is None or last.api_port_setting != settings.api_port:
        return None
    return last.base_port


def _start_supervisor(
    directory: DataDirectory, environment: dict[str, str], lock: int, *, is_first_start: bool
) -> "subprocess.Popen[bytes]":
    log = directory.log_of(SUPERVISOR_LOG)
    log_files.rotate(log)
    module = "convergence_orchestration.local_platform"
    command = [sys.executable, "-P", "-m", module, str(directory.path)]
    with log_files.open_for_appending(log) as output:
        return subprocess.Popen(  # noqa: S603 ours
            [*command, "--first-start"] if is_first_start else command,
            env=environment,
            cwd=directory.path,
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=(lock,),
        )


def _failure(directory: DataDirectory, platform: PlatformRecord, exit_code: int) -> str:
    failed = [name for name, service in platform.services.items() if service.state is ServiceState.FAILED]
    log = directory.log_of(failed[0] if failed else SUPERVISOR_LOG)
    first = (
        platform.failure or f"The supervisor ended before the platform was healthy ({described(exit_code)})."
    )
    of_instances = cloud_run.instance_logs(directory) if ServiceName.API in failed else {}
    logs = [log, *list(of_instances.values())[-1:]]
    return "\n".join([first, *chain.from_iterable(map(_end_of, logs))])


def _end_of(log: Path) -> list[str]:
    """The last lines, each of ours as its message and what it failed by."""
    shown = chain.from_iterable(map(_words, log_files.tail(log, _TAIL_LINES)))
    return [f"The end of {log}:", *(f"  {line}" for line in shown)]


def _words(line: str) -> list[str]:
    try:
        said = json.loads(line)
        words = f"{said['severity']} {said['msg']}\n{said.get('exception', '')}"
    except (ValueError, KeyError, TypeError):
        words = line
    return words.splitlines()
