"""`convergence` with the real processes: starting, looking, killing, stopping; nothing may be left of any of it."""

import json
import os
import re
import shlex
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil
import pytest

from convergence_orchestration.keys.token import ADMIN_KEY_PATTERN, generate_admin_key
from convergence_orchestration.local_platform import processes, record
from convergence_orchestration.local_platform.cloud_run import envoy_sessions
from convergence_orchestration.local_platform.directory import DataDirectory
from convergence_orchestration.local_platform.model import PlatformRecord, PlatformState, ServiceName
from convergence_orchestration.local_platform.start import start
from convergence_orchestration.settings import Environment, load_settings
from convergence_orchestration.warehouse.catalogue import central_tables
from convergence_orchestration_tests.e2e.platform import CONVERGENCE, PATIENCE, Platform, free_base_port
from convergence_orchestration_tests.local_platform.builders import is_gone, wait_until

pytestmark = pytest.mark.e2e

RUNNING_SERVICES = [name for name in ServiceName if name is not ServiceName.ADMIN_KEY]


def a_platform(path: Path) -> Platform:
    """Not started; the directory's name has a space."""
    return Platform(path / "a directory", free_base_port())


def record_of(platform: Platform) -> PlatformRecord | None:
    return record.read(DataDirectory.at(platform.data_dir))


def left_of(platform: Platform) -> list[psutil.Process]:
    known = record_of(platform)
    return processes.members(known) if known else []


@contextmanager
def in_the_foreground(platform: Platform, *words: str) -> Iterator["subprocess.Popen[str]"]:
    """`convergence up`, as if typed; killed at the end if it still runs."""
    command = [str(CONVERGENCE), "up", "--data-dir", str(platform.data_dir), *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as up:
        try:
            yield up
        finally:
            up.kill()
            platform.down()


def until_it_says(up: "subprocess.Popen[str]", words: str) -> None:
    assert up.stdout is not None
    for line in up.stdout:
        if words in line:
            return
    raise AssertionError(f"convergence up ended with {up.wait()} and never said {words!r}")


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """A running platform, started as a script starts things in the background: with SIGINT ignored."""
    platform = a_platform(tmp_path_factory.mktemp("platform"))
    words = shlex.join([str(CONVERGENCE), "up", "--detach", "--base-port", str(platform.base_port)])
    script = f"trap '' INT; exec {words} --data-dir {shlex.quote(str(platform.data_dir))}"
    try:
        subprocess.run(["sh", "-c", script], check=True, timeout=PATIENCE, stdin=subprocess.DEVNULL)
        yield platform
    finally:
        platform.down()
        assert left_of(platform) == []


def test_every_service_is_healthy_and_every_address_answers(platform: Platform) -> None:
    status = platform.status()

    keys = ["api_url", "dagster_url", "bigquery_url", "local_gcp_address", "data_dir", "healthy", "services"]
    keys.append("instances")
    assert list(status) == keys
    assert status["healthy"] is True
    assert status["data_dir"] == str(platform.data_dir)
    assert list(status["services"]) == ["supervisor", *RUNNING_SERVICES]
    assert httpx.get(f"{status['api_url']}/health/ready").json()["status"] == "ready"
    assert httpx.get(f"{status['dagster_url']}/server_info").status_code == 200
    assert httpx.get(f"{status['bigquery_url']}/healthz").status_code == 200
    assert platform.convergence("status").returncode == 0


def test_a_second_start_says_so_with_the_addresses(platform: Platform) -> None:
    second = platform.convergence("up", check=False)

    assert second.returncode == 3
    assert second.stdout == ""
    assert f"A platform already runs in {platform.data_dir}" in second.stderr
    assert platform.api_url in second.stderr


def test_the_administrators_key_is_printed_alone_and_is_in_no_argument(platform: Platform) -> None:
    key = platform.convergence("admin-key").stdout

    assert re.fullmatch(f"{ADMIN_KEY_PATTERN}\n", key)
    assert not [process for process in left_of(platform) if key.strip() in " ".join(process.cmdline())]
    assert (
        httpx.get(f"{platform.api_url}/api/v1/admin/tenants", headers={"X-Admin-Key": "x"}).status_code == 403
    )
    assert platform.admin("GET", "/tenants").json()["error"]["code"] == "not_bootstrapped"


def test_no_child_ignores_what_stops_it(platform: Platform) -> None:
    services = platform.status()["services"]

    for name in RUNNING_SERVICES:
        status = Path(f"/proc/{services[name]['pid']}/status")
        if not status.exists():
            pytest.skip("there is no /proc here")
        ignored = int(re.findall(r"^SigIgn:\s+([0-9a-f]+)$", status.read_text(), re.MULTILINE)[0], 16)
        assert not ignored & 1 << (signal.SIGINT - 1)


def test_another_administrators_key_is_stored_and_taken(platform: Platform) -> None:
    fresh = generate_admin_key(Environment.DEVELOPMENT).get_secret_value()
    words = [str(CONVERGENCE), "admin-key", "--set", "--data-dir", str(platform.data_dir)]

    stored = subprocess.run(
        words, input=f"{fresh}\n", capture_output=True, text=True, check=True, timeout=PATIENCE
    )

    assert fresh not in stored.stdout + stored.stderr
    assert platform.convergence("admin-key").stdout == f"{fresh}\n"
    headers = {"X-Admin-Key": fresh}
    url = f"{platform.api_url}/api/v1/admin/tenants"
    wait_until(lambda: httpx.get(url, headers=headers, timeout=PATIENCE).status_code != 403)


def test_a_killed_service_is_started_again(platform: Platform) -> None:
    names = (ServiceName.LOCAL_GCP, ServiceName.NODE, ServiceName.FRONT_DOOR)
    before = platform.status()["services"]

    for name in names:
        os.kill(before[name]["pid"], signal.SIGKILL)

    live = f"{platform.api_url}/health/live"
    assert [httpx.get(live).status_code for _ in range(50)] == [200] * 50, "instances and Envoy outlive them"
    wait_until(lambda: all(platform.status()["services"][name]["restarts"] == 1 for name in names), PATIENCE)
    wait_until(lambda: platform.status()["healthy"], PATIENCE)
    assert platform.status()["services"]["api"]["pid"] == before["api"]["pid"]


def test_a_killed_instance_of_the_api_is_started_again(platform: Platform) -> None:
    [before] = platform.status()["instances"]
    assert before["revision"].startswith("convergence-api-dev-")
    assert before["pid"] == platform.status()["services"]["api"]["pid"]
    assert httpx.get(f"http://127.0.0.1:{before['port']}/health/live").status_code == 200

    os.kill(before["pid"], signal.SIGKILL)

    wait_until(lambda: platform.status()["services"]["api"]["pid"] not in {before["pid"], None}, PATIENCE)
    wait_until(lambda: platform.status()["healthy"], PATIENCE)


def test_a_killed_envoy_is_started_again(platform: Platform) -> None:
    [pid] = envoy_sessions(DataDirectory.at(platform.data_dir))

    os.kill(pid, signal.SIGKILL)

    wait_until(lambda: envoy_sessions(DataDirectory.at(platform.data_dir)) != {pid}, PATIENCE)
    wait_until(lambda: platform.status()["healthy"], PATIENCE)


def test_logs_tell_who_said_what(platform: Platform) -> None:
    assert "The platform is up." in platform.convergence("logs", "supervisor", "--lines", "1000").stdout
    assert "code_server |" in platform.convergence("logs").stdout
    of_the_api = platform.convergence("logs", "api", "--lines", "1000").stdout
    assert "The job has succeeded." in of_the_api
    assert "Application startup complete." in of_the_api


def test_ctrl_c_stops_the_platform_and_its_ports_are_remembered(tmp_path: Path) -> None:
    platform = a_platform(tmp_path)
    with in_the_foreground(platform, "--base-port", str(platform.base_port)) as up:
        until_it_says(up, "Ctrl-C stops it")
        pids = [process.pid for process in left_of(platform)]
        assert len(pids) > 1 + len(RUNNING_SERVICES), "Envoy too"

        up.send_signal(signal.SIGINT)

        assert up.wait(PATIENCE) == 0
        assert all(is_gone(pid) for pid in pids)
        assert platform.convergence("status", check=False).returncode == 4

    running = start(DataDirectory.at(platform.data_dir), load_settings(_env_file=None))
    assert running.stop().base_port == platform.base_port


def test_a_killed_supervisor_takes_a_foreground_platform_with_it(tmp_path: Path) -> None:
    platform = a_platform(tmp_path)
    with in_the_foreground(platform, "--base-port", str(platform.base_port)) as up:
        wait_until(lambda: len(left_of(platform)) >= 3)
        pids = [process.pid for process in left_of(platform)]
        known = record_of(platform)
        assert known is not None
        assert known.supervisor is not None

        os.kill(known.supervisor.pid, signal.SIGKILL)

        assert up.wait(PATIENCE) == 1
        assert all(is_gone(pid) for pid in pids)
        assert left_of(platform) == []


@pytest.mark.parametrize("words", [(), ("--detach",)])
def test_a_start_that_is_killed_half_way_leaves_nothing(tmp_path: Path, words: tuple[str, ...]) -> None:
    platform = a_platform(tmp_path)
    with in_the_foreground(platform, "--base-port", str(platform.base_port), *words) as up:
        wait_until(lambda: len(left_of(platform)) >= 3)
        pids = [process.pid for process in left_of(platform)]

        up.kill()

        wait_until(lambda: all(is_gone(pid) for pid in pids))
        assert left_of(platform) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_start_that_is_interrupted_half_way_cleans_up(tmp_path: Path, number: signal.Signals) -> None:
    platform = a_platform(tmp_path)
    with in_the_foreground(platform, "--base-port", str(platform.base_port)) as up:
        wait_until(lambda: len(left_of(platform)) >= 3)

        up.send_signal(number)

        assert up.wait(PATIENCE) == 130
        assert left_of(platform) == []
        known = record_of(platform)
        assert known is not None
        assert known.state is PlatformState.STOPPED


def test_orphans_of_a_killed_supervisor_are_ended_by_the_next_start(tmp_path: Path) -> None:
    directory = DataDirectory.at(tmp_path / "a directory")
    settings = load_settings(_env_file=None)
    first = start(directory, settings, free_base_port())
    platform = record.read(directory)
    assert platform is not None
    wait_until(lambda: len(processes.members(record.read(directory) or platform)) >= 3)
    known = record.read(directory)
    assert known is not None
    assert known.supervisor is not None
    supervisor = known.supervisor.pid
    os.kill(supervisor, signal.SIGKILL)
    wait_until(lambda: is_gone(supervisor))
    orphans = [process.pid for process in processes.members(known)]
    assert orphans

    second = start(directory, settings)

    assert second.orphans_ended >= len(orphans), "Envoy may have come late"
    assert all(is_gone(pid) for pid in orphans)
    second.stop()
    first.wait_for_end()


def test_a_busy_port_is_named_and_nothing_is_started(platform: Platform, tmp_path: Path) -> None:
    other = Platform(tmp_path / "other", platform.base_port)

    refused = other.convergence("up", "--detach", "--base-port", str(platform.base_port), check=False)

    assert refused.returncode == 1
    assert f"Port {platform.base_port} for the API is in use by" in refused.stderr
    assert "convergence up --base-port" in refused.stderr
    assert other.convergence("status", check=False).returncode == 4


def test_a_service_that_cannot_start_is_shown_with_the_end_of_its_log(tmp_path: Path) -> None:
    platform = a_platform(tmp_path)
    directory = DataDirectory.at(platform.data_dir)
    directory.create()
    (directory.local_gcp / "local-gcp.sqlite3").write_text("this is no database, whatever it is" * 100)

    failed = platform.convergence("up", "--detach", "--base-port", str(platform.base_port), check=False)

    assert failed.returncode == 1
    assert "local_gcp did not start: exit status 1." in failed.stderr
    assert f"The end of {directory.log_of('local_gcp')}:" in failed.stderr
    assert left_of(platform) == []


def test_the_demo_tells_the_whole_story_and_can_leave_the_platform_running(tmp_path: Path) -> None:
    platform = Platform(tmp_path / "demo", free_base_port())
    words = ["demo", "--keep", "--data-dir", str(platform.data_dir), "--base-port", str(platform.base_port)]
    try:
        told = subprocess.run(
            [str(CONVERGENCE), *words], capture_output=True, text=True, check=False, timeout=4 * PATIENCE
        )

        assert told.returncode == 0, told.stderr
        for found in (
            f"{len(central_tables())} central tables",
            "tenant_acmecorp: 5; tenant_globex: 5",
            "401",
            "none in",
        ):
            assert found in told.stdout
        assert f"convergence down --data-dir {platform.data_dir}" in told.stdout
        assert platform.status()["healthy"] is True
    finally:
        platform.down()


def test_an_interrupted_demo_leaves_neither_processes_nor_files(tmp_path: Path) -> None:
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    with subprocess.Popen([str(CONVERGENCE), "demo"], env=environment, stderr=subprocess.DEVNULL) as demo:
        wait_until(lambda: list(tmp_path.glob("convergence-demo-*/platform.json")))
        directory = DataDirectory.at(next(tmp_path.glob("convergence-demo-*")))
        wait_until(lambda: (known := record.read(directory)) and len(processes.members(known)) >= 3)
        known = record.read(directory)
        assert known is not None

        demo.terminate()

        assert demo.wait(PATIENCE) == 130
    assert processes.members(known) == []
    assert list(tmp_path.iterdir()) == []


def test_the_status_is_json_for_programs_also_when_it_is_bad(tmp_path: Path) -> None:
    nothing = a_platform(tmp_path).convergence("status", "--json", check=False)

    assert nothing.returncode == 4
    assert json.loads(nothing.stdout)["healthy"] is False
