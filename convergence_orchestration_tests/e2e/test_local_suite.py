"""The guide's ten local tests, by its names and numbers, against a running API."""

import hashlib
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import httpx
import pytest

from convergence_orchestration import __version__
from convergence_orchestration.warehouse.catalogue import central_tables, tenant_tables
from convergence_orchestration.warehouse.drift import differences
from convergence_orchestration.warehouse.found import found_by_metadata
from convergence_orchestration_tests.e2e.platform import PATIENCE, Platform


@dataclass(frozen=True)
class Tenant:
    tenant_id: str
    api_key: str
    key_answer: httpx.Response


def create(platform: Platform, tenant_id: str) -> httpx.Response:
    return platform.admin(
        "POST", "/tenants", {"tenant_id": tenant_id, "company_name": "Suite"}, Prefer="wait=120"
    )


def new_tenant_id() -> str:
    return f"suite_{uuid.uuid4().hex[:10]}"


@pytest.fixture(scope="module")
def tenant(platform: Platform) -> Tenant:
    tenant_id = new_tenant_id()
    assert create(platform, tenant_id).status_code == 200
    issued = platform.admin("POST", "/api-keys", {"tenant_id": tenant_id}, Prefer="wait=120")
    return Tenant(tenant_id, issued.json()["api_key"], issued)


def test_01_health_check(platform: Platform) -> None:
    for path in ("/health", "/api/v1/health"):
        answer = httpx.get(platform.api_url + path)

        assert answer.status_code == 200
        assert answer.json()["status"] == "healthy"
        assert answer.json()["environment"] == "development"


def test_02_bootstrap_system(platform: Platform) -> None:
    answer = platform.admin(
        "POST",
        "/bootstrap",
        {"force_recreate_dataset": False, "force_recreate_tables": False},
        Prefer="wait=120",
    )

    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body["status"] == "SUCCESS"
    assert body["dataset_created"] is False
    assert body["tables_created"] == []
    assert sorted(body["tables_existed"]) == sorted(table.name for table in central_tables())
    assert body["total_tables"] == len(central_tables())
    assert platform.run_status(body["run_id"]) == "SUCCESS"


def test_03_create_tenant(platform: Platform) -> None:
    tenant_id = new_tenant_id()

    answer = create(platform, tenant_id)

    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body["tenant_id"] == tenant_id
    assert body["state"] == "ACTIVE"
    assert sorted(body["tables_created"]) == sorted(table.name for table in tenant_tables())
    assert platform.run_status(body["run_id"]) == "SUCCESS"


def test_04_get_tenant_info(platform: Platform, tenant: Tenant) -> None:
    answer = platform.admin("GET", f"/tenants/{tenant.tenant_id}")

    assert answer.status_code == 200
    assert answer.json()["tenant_id"] == tenant.tenant_id
    assert answer.json()["company_name"] == "Suite"


def test_05_generate_tenant_api_key(platform: Platform, tenant: Tenant) -> None:
    assert tenant.key_answer.status_code == 200
    body = tenant.key_answer.json()
    assert body["api_key"].startswith("cvg_dev_")
    assert hashlib.sha256(body["api_key"].encode()).hexdigest() == body["tenant_api_key_hash"]
    assert platform.run_status(body["run_id"]) == "SUCCESS"
    assert platform.me(tenant.api_key).json()["tenant_id"] == tenant.tenant_id


def test_06_invalid_admin_key_rejected(platform: Platform) -> None:
    answer = httpx.get(
        f"{platform.api_url}/api/v1/admin/tenants", headers={"X-Admin-Key": "admin_wrong_key_1234"}
    )

    assert answer.status_code == 403


def test_07_missing_admin_key_rejected(platform: Platform) -> None:
    answer = httpx.post(f"{platform.api_url}/api/v1/admin/tenants", json={"tenant_id": "never_made"})

    assert answer.status_code == 403
    assert platform.admin("GET", "/tenants/never_made").status_code == 404


def test_08_api_versioning(platform: Platform) -> None:
    assert httpx.get(f"{platform.api_url}/api/v1/health").json()["version"] == __version__
    assert httpx.get(f"{platform.api_url}/api/v2/health").status_code == 404
    assert httpx.get(f"{platform.api_url}/admin/tenants").status_code == 404


def test_09_rate_limiting(platform: Platform, tenant: Tenant) -> None:
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: platform.me(tenant.api_key), range(110)))

    refused = [answer for answer in answers if answer.status_code == 429]
    assert (
        sum(answer.status_code == 200 for answer in answers) <= 101
    )  # one call may have been counted a minute later
    assert refused
    assert int(refused[0].headers["Retry-After"]) > 0
    assert refused[0].json()["error"]["code"] == "rate_limited"
    assert httpx.get(f"{platform.api_url}/health", timeout=PATIENCE).status_code == 200


def test_10_schema_consistency(platform: Platform, tenant: Tenant) -> None:
    client = platform.bigquery()

    for dataset, tables in ((f"tenant_{tenant.tenant_id}", tenant_tables()), ("tenants", central_tables())):
        for declared in tables:
            real = found_by_metadata(client.get_table(f"{dataset}.{declared.name}"))
            assert differences(declared, real) == ()
