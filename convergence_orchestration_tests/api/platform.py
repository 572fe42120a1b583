"""An API under test: the real application over HTTP, the real emulators, and the stand-in for Dagster.

What belongs here: starting it, and the jobs that the stand-in plays with our own functions.
"""

import math
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypedDict

import httpx
import uvicorn
from fastapi import FastAPI
from google.cloud.bigquery import ArrayQueryParameter, ScalarQueryParameter
from pydantic import SecretStr

from convergence_orchestration.api.app import create_app
from convergence_orchestration.api.services import Services, utc_now
from convergence_orchestration.following import FollowedIndex
from convergence_orchestration.gcp.bigquery import BigQuery
from convergence_orchestration.gcp.clients import bigquery_client, kms_client, secret_manager_client
from convergence_orchestration.gcp.kms import Kms
from convergence_orchestration.gcp.secrets import Secrets
from convergence_orchestration.keys.issuing import NewKey, issue
from convergence_orchestration.keys.ledger import KeyLedger
from convergence_orchestration.keys.model import (
    KeyEvent,
    KeyEventKind,
    KeyId,
    new_key_id,
    parse_expiry,
    parse_scopes,
)
from convergence_orchestration.keys.revoking import Revocation, revoke, revoke_all
from convergence_orchestration.keys.rotating import Rotation, rotate
from convergence_orchestration.keys.stores import KeyStores
from convergence_orchestration.keys.token import generate_tenant_key, hash_of
from convergence_orchestration.settings import Settings
from convergence_orchestration.tenancy.model import TenantId, TenantState
from convergence_orchestration.tenancy.registry import StateChange
from convergence_orchestration.tenancy.request_model import TenantRequest
from convergence_orchestration.tenancy.requests import TenantRequests
from convergence_orchestration.warehouse.bootstrap import NOTHING_REMOVED, ensure_dataset, ensure_tables
from convergence_orchestration.warehouse.catalogue import central_tables
from convergence_orchestration_tests.api.dagster_standin import (
    DagsterStandIn,
    Launch,
    Materializations,
    materialized,
)
from convergence_orchestration_tests.api.fulfilling import JOB, Fulfilling
from convergence_orchestration_tests.keys.builders import AUDIT
from convergence_orchestration_tests.keys.revocation import revoker

ADMIN_KEY = "admin_for_the_tests_alone"
PATIENCE = 60

_ADD_TENANTS = """
INSERT INTO tenants.tenant_profiles
  (tenant_id, state, company_name, description, admin_email, plan, dataset_id, request_id, created_at, updated_at)
SELECT
  id, 'ACTIVE', '', '', '', 'STARTER', 'tenant_' || id, 'req_aaaaaaaaaaaaaaaaaaaaaaaaaa',
  CURRENT_TIMESTAMP(), CURRENT_TIMESTAMP()
FROM UNNEST(@ids) AS id
"""
_SET_STATE = "UPDATE tenants.tenant_profiles SET state = @state WHERE tenant_id = @id"


@dataclass
class Clock:
    """The time, which a test may move."""

    ahead: timedelta = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead


class KnownKey(TypedDict):
    """A key as far as a test needs it."""

    api_key: str
    key_id: str
    tenant_api_key_hash: str


@dataclass
class Api:
    """A running API."""

    url: str
    app: FastAPI
    settings: Settings
    dagster: DagsterStandIn
    http: httpx.Client
    clock: Clock = field(default_factory=Clock)

    @property
    def services(self) -> Services:
        """What the application opened."""
        services: Services = self.app.state.services
        return services

    def call(self, method: str, path: str, **request: Any) -> httpx.Response:
        """Any call, as it is."""
        return self.http.request(method, self.url + path, **request)

    def admin(self, method: str, path: str, body: object = None, **headers: str) -> httpx.Response:
        """Call `/api/v1/admin{path}` with the administrators' key."""
        content = {} if body is None else {"json": body}
        return self.call(
            method, f"/api/v1/admin{path}", headers={"X-Admin-Key": ADMIN_KEY} | headers, **content
        )

    def me(self, api_key: str) -> httpx.Response:
        """GET /tenants/me."""
        return self.call("GET", "/api/v1/tenants/me", headers={"X-API-Key": api_key})

    def wait_until_keys_are_known(self) -> None:
        """Come back when the indexes were filled."""
        while any(index.age(self.clock()) == math.inf for index in self._indexes()):
            time.sleep(0.05)

    def _indexes(self) -> tuple[FollowedIndex[Any, Any], ...]:
        return self.services.index, self.services.tenant_index

    def go_ahead(self, time: timedelta) -> None:
        """Let `time` go by, with the looks that are due then."""
        self.clock.ahead = time
        self.services.follower.refresh()
        self.services.tenant_follower.refresh()

    def set_state(self, tenant_id: str, state: TenantState) -> None:
        """Change the tenant's profile, and let this API look at the profiles."""
        now = datetime.now(UTC)
        change = StateChange(
            TenantId(tenant_id), "req_" + "z" * 26, now, frozenset(TenantState) - {state}, state
        )
        assert self.services.tenants.change_state(change, now)
        self.services.tenant_follower.refresh()

    def known_key(self, tenant_id: str, **fields: Any) -> KnownKey:
        """A key that the ledger holds and this API knows, without the steps of issuing it."""
        key = generate_tenant_key(self.settings.environment)
        event = KeyEvent(
            key_id=new_key_id(),
            tenant_id=TenantId(tenant_id),
            kind=KeyEventKind.ISSUED,
            environment=self.settings.environment,
            recorded_at=self.clock(),
            actor="a test",
            key_hash=hash_of(key.get_secret_value()),
            **fields,
        )
        KeyLedger(self.services.bigquery, AUDIT).append(event)
        self.services.follower.note(event)
        return {
            "api_key": key.get_secret_value(),
            "key_id": event.key_id,
            "tenant_api_key_hash": hash_of(key.get_secret_value()),
        }

    def issue_key(self, tenant_id: str, **fields: object) -> dict[str, Any]:
        """A tenant's key, as it was answered."""
        answer = self.admin("POST", "/api-keys", {"tenant_id": tenant_id, **fields})
        assert answer.status_code == 200, answer.text
        body: dict[str, Any] = answer.json()
        return body


@dataclass(frozen=True)
class ControlPlane:
    """What the emulators hold for one project, and the jobs over it as Dagster would run them."""

    settings: Settings
    unused_tenants: list[str] = field(default_factory=list)

    def add_tenants(self, count: int) -> None:
        """ACTIVE tenants without datasets, for tests that need no more."""
        added = [new_tenant_id() for _ in range(count)]
        self.bigquery.execute(_ADD_TENANTS, [ArrayQueryParameter("ids", "STRING", added)])
        self.unused_tenants.extend(added)

    def tenant(self, state: str = "ACTIVE") -> str:
        """The id of a tenant in this state that no other test uses and that has no key."""
        tenant_id = self.unused_tenants.pop()
        if state != "ACTIVE":
            wanted = [
                ScalarQueryParameter("id", "STRING", tenant_id),
                ScalarQueryParameter("state", "STRING", state),
            ]
            self.bigquery.execute(_SET_STATE, wanted)
        return tenant_id

    @property
    def bigquery(self) -> BigQuery:
        return BigQuery(bigquery_client(self.settings))

    @property
    def kms(self) -> Kms:
        client = kms_client(self.settings)
        return Kms(client, self.settings.crypto_key_name, deadline_seconds=self.settings.kms_deadline_seconds)

    def bootstrap(self, _: Launch | None = None) -> Materializations:
        self.kms.ensure_key_ring()
        self.kms.ensure_crypto_key()
        dataset = ensure_dataset(self.bigquery, NOTHING_REMOVED)
        outcomes = ensure_tables(self.bigquery, central_tables(), NOTHING_REMOVED)
        return [
            materialized("kms_key", action="created"),
            materialized("tenants", "dataset", action=dataset.value),
            *(
                materialized("tenants", outcome.spec.name, action=outcome.action.value)
                for outcome in outcomes
            ),
        ]

    @property
    def fulfilling(self) -> Fulfilling:
        return Fulfilling(self.bigquery, revoker(self.settings))

    def requests_for(self, tenant_id: str) -> list[TenantRequest]:
        """Every request for the tenant, the latest at the end."""
        return TenantRequests(self.bigquery).all_for(TenantId(tenant_id))

    @property
    def stores(self) -> KeyStores:
        secrets = Secrets(secret_manager_client(self.settings), self.settings.gcp_project_id)
        return KeyStores.over(self.bigquery, secrets, self.settings.environment, AUDIT)

    def issue(self, launch: Launch) -> Materializations:
        config, now = launch.op_config(), datetime.now(UTC)
        asked = NewKey(
            key_id=KeyId(config["key_id"]),
            tenant_id=TenantId(config["tenant_id"]),
            environment=self.settings.environment,
            actor=launch.tags["convergence/actor"],
            description=config["description"],
            scopes=parse_scopes(config["scopes"]),
            expires_at=parse_expiry(config["expires_at"], now),
            request_id=launch.tags["convergence/request_id"],
            run_id=launch.run_id,
            is_repeatable=config["repeatable"],
        )
        issue(self.stores, self.kms, asked, utc_now)
        return []

    def rotate(self, launch: Launch) -> Materializations:
        config = launch.op_config()
        asked = Rotation(
            key_id=KeyId(config["key_id"]),
            new_key_id=KeyId(config["new_key_id"]),
            grace=timedelta(seconds=config["grace_seconds"]),
            actor=launch.tags["convergence/actor"],
            description=config.get("description"),
            scopes=parse_scopes(config["scopes"]) if "scopes" in config else None,
            expires_at=parse_expiry(config["expires_at"], utc_now()),
            run_id=launch.run_id,
            is_repeatable=config["repeatable"],
        )
        rotate(self.stores, self.kms, asked, utc_now)
        return []

    def revoke(self, launch: Launch) -> Materializations:
        config = launch.op_config()
        asked = Revocation(
            config["key"], launch.tags["convergence/actor"], config["reason"], run_id=launch.run_id
        )
        revoke(self.stores, asked, utc_now())
        return []

    def revoke_all(self, launch: Launch) -> Materializations:
        config = launch.op_config()
        revoke_all(
            self.stores,
            TenantId(config["tenant_id"]),
            actor=launch.tags["convergence/actor"],
            reason=config["reason"],
            request_id=None,
            run_id=launch.run_id,
            now=utc_now(),
        )
        return []

    def jobs(self) -> dict[str, Callable[[Launch], Materializations]]:
        return {
            "bootstrap": self.bootstrap,
            JOB: self.fulfilling.seemingly,
            "issue_tenant_key": self.issue,
            "rotate_tenant_key": self.rotate,
            "revoke_tenant_key": self.revoke,
            "revoke_tenant_keys": self.revoke_all,
        }


def patiently(settings: Settings) -> Settings:
    """Settings under which nothing happens by itself while a test looks."""
    return settings.model_copy(
        update={
            "key_index_refresh_seconds": 86_400.0,
            "key_index_max_age_seconds": 172_800.0,
            "tenant_index_refresh_seconds": 86_400.0,
            "tenant_index_max_age_seconds": 172_800.0,
            "tenant_creations_per_minute": 100_000,
        }
    )


@contextmanager
def served(settings: Settings, dagster: DagsterStandIn) -> Iterator[Api]:
    """The API with these settings, Dagster's address and the administrators' key replaced."""
    clock = Clock()
    settings = settings.model_copy(
        update={"dagster_url": dagster.url, "admin_api_key": settings.admin_api_key or SecretStr(ADMIN_KEY)}
    )
    listener = socket.create_server(("127.0.0.1", 0))
    app = create_app(settings, clock)
    config = uvicorn.Config(app, log_config=None, access_log=False, server_header=False)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        with httpx.Client(timeout=PATIENCE, trust_env=False) as http:
            yield Api(f"http://127.0.0.1:{listener.getsockname()[1]}", app, settings, dagster, http, clock)
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


def new_tenant_id() -> str:
    """A tenant id that no other test uses."""
    return f"t{uuid.uuid4().hex[:12]}"


def assert_is_error(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """The `error` of an answer, which has this status and code and the shape of every error."""
    assert answer.status_code == status, answer.text
    error: dict[str, Any] = answer.json()["error"]
    assert answer.json().keys() == {"error"}
    assert error.keys() - {"details"} == {"code", "message", "request_id"}
    assert error["code"] == code
    assert error["request_id"] == answer.headers["X-Request-ID"]
    assert error["message"].endswith((".", "`"))
    return error
