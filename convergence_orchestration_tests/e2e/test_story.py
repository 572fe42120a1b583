"""The story of the platform with real processes: bootstrap, tenants, keys, SIGKILL, and what is left in the files."""

import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from convergence_orchestration.warehouse.catalogue import central_tables, tenant_tables
from convergence_orchestration_tests.e2e.platform import Platform, free_base_port

TENANTS = ("acmecorp", "globex")


@pytest.fixture
def fresh_platform(tmp_path: Path) -> Iterator[Platform]:
    platform = Platform(tmp_path / "a data directory", free_base_port())
    platform.up()
    try:
        yield platform
    finally:
        platform.down()


def test_two_tenants_come_alive_survive_sigkill_and_leave_no_key_in_clear(fresh_platform: Platform) -> None:
    platform = fresh_platform
    bootstrap(platform)
    onboard_both(platform)
    keys = issue_keys(platform)
    for tenant_id, key in keys.items():
        assert platform.me(key).json()["tenant_id"] == tenant_id

    children = kill_everything(platform)
    platform.up()

    assert not any(child.is_running() for child in children)
    assert [tenant["tenant_id"] for tenant in platform.admin("GET", "/tenants").json()["tenants"]] == list(
        TENANTS
    )
    for tenant_id, key in keys.items():
        assert platform.me(key).json()["tenant_id"] == tenant_id
    revoke(platform, keys["acmecorp"])
    assert platform.me(keys["acmecorp"]).status_code == 401
    assert platform.me(keys["globex"]).status_code == 200

    platform.down()
    assert_in_no_file([*keys.values(), platform.admin_key], platform.data_dir)


def bootstrap(platform: Platform) -> None:
    answer = platform.admin(
        "POST", "/bootstrap", {"force_recreate_dataset": False, "force_recreate_tables": False}
    )
    body = answer.json()
    assert answer.status_code == 200, answer.text
    assert body["dataset_created"] is True
    assert sorted(body["tables_created"]) == sorted(table.name for table in central_tables())
    assert platform.run_status(body["run_id"]) == "SUCCESS"


def onboard_both(platform: Platform) -> None:
    with ThreadPoolExecutor(len(TENANTS)) as pool:
        answers = list(
            pool.map(
                lambda name: platform.admin("POST", "/tenants", {"tenant_id": name}, Prefer="wait=120"),
                TENANTS,
            )
        )
    client = platform.bigquery()
    for tenant_id, answer in zip(TENANTS, answers, strict=True):
        assert answer.status_code == 200, answer.text
        assert answer.json()["state"] == "ACTIVE"
        assert platform.run_status(answer.json()["run_id"]) == "SUCCESS"
        assert sorted(table.table_id for table in client.list_tables(f"tenant_{tenant_id}")) == sorted(
            table.name for table in tenant_tables()
        )


def issue_keys(platform: Platform) -> dict[str, str]:
    keys = {}
    for tenant_id in TENANTS:
        answer = platform.admin("POST", "/api-keys", {"tenant_id": tenant_id}, Prefer="wait=120")
        assert answer.status_code == 200, answer.text
        assert platform.run_status(answer.json()["run_id"]) == "SUCCESS"
        keys[tenant_id] = answer.json()["api_key"]
    return keys


def revoke(platform: Platform, key: str) -> None:
    key_id = platform.me(key).json()["key"]["key_id"]
    answer = platform.admin("DELETE", f"/api-keys/{key_id}", Prefer="wait=120")
    assert answer.status_code == 200, answer.text


def kill_everything(platform: Platform) -> list[psutil.Process]:
    """SIGKILL the supervisor and all below it at once, as a power cut would; what was killed."""
    services = platform.status()["services"]
    supervisor = psutil.Process(services["supervisor"]["pid"])
    everything = [supervisor, *supervisor.children(recursive=True)]
    assert len(everything) >= len(services)
    for process in everything:
        process.send_signal(signal.SIGKILL)
    psutil.wait_procs(everything, timeout=20)
    return everything


def assert_in_no_file(secrets: list[str], directory: Path) -> None:
    files = [path for path in directory.rglob("*") if path.is_file()]
    assert [path for path in files if path.name == "runs.db"], "Dagster's storage is among the files"
    for path in files:
        content = path.read_bytes()
        assert not [secret for secret in secrets if secret.encode() in content], path
