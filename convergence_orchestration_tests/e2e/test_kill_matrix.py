"""SIGKILL at every call by which an onboarding changes something: nothing is lost, nothing is double.

Once each here; `benchmarks/kill_matrix.py` does it ten times.
"""

from collections.abc import Iterator

import psutil
import pytest

from convergence_orchestration.tenancy.model import TenantId
from convergence_orchestration_tests.e2e.boundaries import (
    OF_THE_API,
    OF_THE_RUN,
    Boundary,
    Trial,
    ask,
    boundaries,
    callers_die,
    emulator_dies,
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


def test_workers_killed_at_every_call_leave_one_tenant_each(platform: Platform) -> None:
    of_workers = trials("worker", boundaries(*OF_THE_RUN))
    callers_die(platform, of_workers)
    assert what_is_wrong(platform, of_workers) == []


def test_an_api_killed_before_or_behind_its_append_leaves_one_tenant(platform: Platform) -> None:
    for trial in trials("api", boundaries(*OF_THE_API)):
        callers_die(platform, [trial])
        assert what_is_wrong(platform, [trial]) == []


@pytest.mark.parametrize(
    "boundary", boundaries("dataset", "profile"), ids=lambda each: f"{each.when} {each.name}"
)
def test_a_bigquery_killed_at_a_call_leaves_one_tenant(platform: Platform, boundary: Boundary) -> None:
    trial = Trial(boundary, TenantId(f"emulator_{boundary.name}_{boundary.when}_x"))
    emulator_dies(platform, trial)
    assert what_is_wrong(platform, [trial]) == []


def test_a_daemon_killed_together_with_a_worker_leaves_one_tenant(platform: Platform) -> None:
    (trial, _) = trials("daemon", boundaries("quota"))
    write_rules(platform, [trial], "caller")
    daemon = psutil.Process(platform.status()["services"]["daemon"]["pid"])
    ask(platform, trial)
    daemon.kill()
    wait_until_done(platform, [trial])
    platform.faults_file.unlink()
    assert what_is_wrong(platform, [trial]) == []
