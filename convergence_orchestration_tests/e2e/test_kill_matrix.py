"""SIGKILL at calls by which an onboarding changes something: nothing is lost, nothing is double.

Some of the boundaries, once; `python -m benchmarks.kill_matrix` does all of them, ten times each.
"""

from collections.abc import Iterator

import psutil
import pytest

from convergence_orchestration.tenancy.model import TenantId
from convergence_orchestration_tests.e2e.boundaries import (
    OF_THE_API,
    Boundary,
    Trial,
    ask,
    boundaries,
    die,
    wait_until_done,
    what_is_wrong,
    write_rules,
)
from convergence_orchestration_tests.e2e.platform import Platform, free_base_port


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    home = tmp_path_factory.mktemp("matrix")
    (home / ".env").write_text("TENANT_CREATIONS_PER_MINUTE=1000\n", encoding="utf-8")
    platform = Platform(home / "data", free_base_port())
    platform.up()
    try:
        assert platform.admin("POST", "/bootstrap", {}).status_code == 200
        yield platform
    finally:
        platform.down()


def trials(name: str, found: list[Boundary]) -> list[Trial]:
    return [Trial(boundary, TenantId(f"{name}_{number}_x")) for number, boundary in enumerate(found)]


def test_workers_killed_at_a_call_and_a_daemon_with_them_leave_one_tenant_each(platform: Platform) -> None:
    of_workers = trials(
        "worker", boundaries("RUNNING", "dataset", "table step_logs", "quota", "profile", "DONE")
    )
    daemon = psutil.Process(platform.status()["services"]["daemon"]["pid"])
    write_rules(platform, of_workers, "caller")
    for trial in of_workers:
        ask(platform, trial)
    daemon.kill()
    wait_until_done(platform, of_workers)
    platform.faults_file.unlink()
    assert what_is_wrong(platform, of_workers) == []


def test_an_api_killed_behind_its_append_leaves_one_tenant(platform: Platform) -> None:
    (_, behind) = trials("api", boundaries(*OF_THE_API))
    die(platform, [behind], "caller")
    assert what_is_wrong(platform, [behind]) == []


def test_a_bigquery_killed_at_two_calls_leaves_a_tenant_each(platform: Platform) -> None:
    of_bigquery = trials("emulator", boundaries("profile"))
    die(platform, of_bigquery, "emulator")
    assert platform.status()["services"]["bigquery"]["restarts"] == len(of_bigquery)
    assert what_is_wrong(platform, of_bigquery) == []
