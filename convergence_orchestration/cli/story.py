"""The story that `convergence demo` tells: what a first user would do, step by step, on a running platform.

What belongs here: the steps, each through the API or the plain BigQuery client, and what each must find. Starting and stopping
the platform is `demo.py`'s business.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from convergence_orchestration.cli.access import Access
from convergence_orchestration.cli.api_calls import ApiCalls
from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.gcp.clients import bigquery_client
from convergence_orchestration.releases.answering import client
from convergence_orchestration.settings import Settings

TENANTS = ("acmecorp", "globex")
_WAIT_SECONDS = 120.0
_BLOCK_BYTES = 1 << 20

Tell = Callable[[str, Callable[[], str]], None]
"""Takes a step's title and what does it: returns what was found, in words."""


@dataclass
class Story:
    """The steps' common knowledge: where the platform is, and the keys that were issued by tenant."""

    access: Access
    settings: Settings
    directory: Path
    keys: dict[str, str] = field(default_factory=dict)
    key_ids: dict[str, str] = field(default_factory=dict)

    def perform(self, tell: Tell) -> None:
        """Every step in order.

        Raises:
            PermanentError: a step did not find what it must.
        """
        first, second = TENANTS
        tell("bootstrap", self.bootstrap)
        for tenant in TENANTS:
            tell(f"tenant {tenant}", lambda tenant=tenant: self.make_tenant(tenant))  # type: ignore[misc]
        for tenant in TENANTS:
            tell(f"key for {tenant}", lambda tenant=tenant: self.issue_key(tenant))  # type: ignore[misc]
        for tenant in TENANTS:
            tell(f"GET /tenants/me as {tenant}", lambda tenant=tenant: self.ask_who(tenant))  # type: ignore[misc]
        tell("tables by the plain BigQuery client", self.list_tables)
        tell(f"{first}'s key revoked", lambda: self.revoke(first))
        tell(f"GET /tenants/me as {first}", lambda: self.be_refused(first))
        tell(f"GET /tenants/me as {second}", lambda: self.ask_who(second))
        tell("keys in clear in any file", self.search_keys)

    def bootstrap(self) -> str:
        """The central dataset and its tables."""
        body = self._calls().post("/admin/bootstrap").body
        return f"{body['total_tables']} central tables, run {body['run_id'][:8]}"

    def make_tenant(self, tenant: str) -> str:
        """A tenant, ACTIVE when this returns."""
        body = self._calls().post("/admin/tenants", {"tenant_id": tenant, "plan": "STARTER"}).body
        _require(
            body["state"] == "ACTIVE", f"Look at the run {body['run_url']}: {tenant} is {body['state']}."
        )
        return f"{body['state']}, {len(body['tables_created'])} tables, run {body['run_id'][:8]}"

    def issue_key(self, tenant: str) -> str:
        """The tenant's key."""
        body = self._calls().post("/admin/api-keys", {"tenant_id": tenant, "description": "demo"}).body
        _require(
            "api_key" in body, f"Look at the run {body['run_url']}: the key for {tenant} is not there yet."
        )
        self.keys[tenant], self.key_ids[tenant] = body["api_key"], body["key_id"]
        return f"{body['key_id']}, run {body['run_id'][:8]}"

    def ask_who(self, tenant: str) -> str:
        """What the tenant sees of itself."""
        response = self._as_tenant(tenant)
        _require(
            response.status_code == httpx.codes.OK,
            f"Look at the API's log: {tenant}'s key got {response.status_code}.",
        )
        body = response.json()
        _require(
            body["tenant_id"] == tenant,
            f"Stop using this platform: {tenant}'s key opens {body['tenant_id']}.",
        )
        return f"200, {body['tenant_id']} is {body['state']}, plan {body['plan']}"

    def list_tables(self) -> str:
        """The tenants' tables, asked of BigQuery itself."""
        client = bigquery_client(self.settings)
        found = {
            tenant: [table.table_id for table in client.list_tables(f"tenant_{tenant}")] for tenant in TENANTS
        }
        for tenant, tables in found.items():
            _require(bool(tables), f"Look at BigQuery's log: dataset tenant_{tenant} has no tables.")
        return "; ".join(f"tenant_{tenant}: {len(tables)}" for tenant, tables in found.items())

    def revoke(self, tenant: str) -> str:
        """The end of the tenant's key."""
        body = self._calls().delete(f"/admin/api-keys/{self.key_ids[tenant]}", reason="demo").body
        return f"revoked, run {str(body['run_id'])[:8]}"

    def be_refused(self, tenant: str) -> str:
        """What a revoked key gets."""
        status = self._as_tenant(tenant).status_code
        _require(
            status == httpx.codes.UNAUTHORIZED, f"Look at the API's log: a revoked key got {status}, not 401."
        )
        return "401"

    def search_keys(self) -> str:
        """Whether any file of the platform holds a key as it was handed out."""
        secrets = [key.encode() for key in (*self.keys.values(), self.access.admin_key.get_secret_value())]
        files = [path for path in self.directory.rglob("*") if path.is_file()]
        for path in files:
            _require(not _holds(path, secrets), f"Report this defect: {path} holds a key in clear.")
        return f"none in {len(files)} files"

    def _calls(self) -> ApiCalls:
        return ApiCalls(self.access, _WAIT_SECONDS)

    def _as_tenant(self, tenant: str) -> httpx.Response:
        url, headers = f"{self.access.url}/api/v1/tenants/me", {"X-API-Key": self.keys[tenant]}
        if self.access.authority_file is None:
            return httpx.get(url, headers=headers, timeout=_WAIT_SECONDS, trust_env=False)
        with client(self.access.authority_file, _WAIT_SECONDS) as http:
            return http.get(url, headers=headers)


def _require(is_as_it_must_be: bool, otherwise: str) -> None:  # noqa: FBT001 reads as a sentence
    if not is_as_it_must_be:
        raise PermanentError(ErrorCode.INTERNAL, otherwise)


def _holds(path: Path, secrets: list[bytes]) -> bool:
    longest = max(map(len, secrets))
    carried = b""
    try:
        with path.open("rb") as file:
            while block := file.read(_BLOCK_BYTES):
                text = carried + block
                if any(secret in text for secret in secrets):
                    return True
                carried = text[-longest:]
    except FileNotFoundError:  # a database's journal comes and goes
        return False
    return False
