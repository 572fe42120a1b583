import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import pytest

from convergence_orchestration.local_platform.model import ProcessIdentity, ServiceName, ServiceRecord
from convergence_orchestration.local_platform.processes import (
    PLATFORM_ID_VARIABLE,
    alive,
    end,
    identity_of,
    members,
    session,
)
from convergence_orchestration_tests.local_platform.builders import SLEEP, a_record, is_gone, wait_until


@contextmanager
def a_process(code: str = SLEEP, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """A process in a session of its own; killed at the end."""
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def test_a_process_is_recognised_by_its_id_and_its_start() -> None:
    with a_process() as process:
        identity = identity_of(process.pid)

        assert alive(identity) == psutil.Process(process.pid)
        assert alive(ProcessIdentity(process.pid, identity.created - 5)) is None
        process.kill()
        process.wait()
        assert alive(identity) is None
    assert alive(None) is None
    assert session(identity.pid) is None


def test_a_zombie_is_not_alive() -> None:
    with a_process("") as process:
        identity = ProcessIdentity(process.pid, psutil.Process(process.pid).create_time())
        wait_until(lambda: is_gone(process.pid))

        assert alive(identity) is None


def test_recorded_processes_and_their_descendants_are_members() -> None:
    code = f"""
import subprocess, sys
for is_away in (False, True):
    print(subprocess.Popen([sys.executable, "-c", {SLEEP!r}], start_new_session=is_away).pid, flush=True)
{SLEEP}
"""
    with a_process(code) as process, a_process() as stranger:
        assert process.stdout is not None
        grandchildren = {int(process.stdout.readline()), int(process.stdout.readline())}
        service = ServiceRecord(identity=identity_of(process.pid))
        gone = ServiceRecord(identity=ProcessIdentity(stranger.pid, 1.0))
        platform = a_record(services={ServiceName.API: service, ServiceName.DAEMON: gone})

        found = members(platform)

        assert {member.pid for member in found} == {process.pid, *grandchildren}
        assert end(found, grace=10) == 3
        assert all(is_gone(pid) for pid in grandchildren)
        assert stranger.poll() is None


def test_processes_that_carry_the_platforms_id_are_members_whoever_started_them() -> None:
    platform, other = a_record(), a_record()
    with (
        a_process(**{PLATFORM_ID_VARIABLE: platform.platform_id}) as ours,
        a_process(**{PLATFORM_ID_VARIABLE: other.platform_id}) as theirs,
    ):
        assert [member.pid for member in members(platform)] == [ours.pid]
        assert [member.pid for member in members(other)] == [theirs.pid]


def test_who_asks_is_not_a_member() -> None:
    found = members(a_record(supervisor=identity_of(os.getpid())))

    assert os.getpid() not in [member.pid for member in found]


def test_a_process_that_ignores_sigterm_is_killed() -> None:
    code = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); {SLEEP}"
    with a_process(code) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "deaf\n"

        assert end([psutil.Process(process.pid)], grace=0.1) == 1

        assert is_gone(process.pid)


def test_ending_what_has_ended_is_no_error() -> None:
    with a_process() as process:
        found = psutil.Process(process.pid)
        process.kill()
        process.wait()

        assert end([found], grace=1) == 1


def test_a_process_that_nobody_has_is_no_process() -> None:
    with pytest.raises(psutil.NoSuchProcess):
        identity_of(2**30)
