"""API processes as they are in production, for tests and benchmarks: `python -m convergence_orchestration.api`.

What belongs here: starting and stopping them against running emulators, and keys that their ledger holds.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from pathlib import Path

import httpx

from convergence_orchestration.gcp.bigquery import BigQuery
from convergence_orchestration.keys.ledger_inserting import insert_rows
from convergence_orchestration.keys.model import ALL_SCOPES, KeyEventKind, new_key_id
from convergence_orchestration.keys.token import generate_tenant_key, hash_of
from convergence_orchestration.settings import Settings
from convergence_orchestration.warehouse.model import CENTRAL_DATASET
from convergence_orchestration_tests.emulators import free_port, stop

PATIENCE = 60
ME = "/api/v1/tenants/me"
_NOBODY = "127.0.0.1:9"


@dataclass(frozen=True)
class ApiProcess:
    """One API process; `log` is what it wrote to standard error."""

    port: int
    pid: int
    log: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@dataclass(frozen=True)
class HeldKey:
    """A key that the ledger holds; `text` is what its holder sends, `issued` the row about it."""

    text: str
    issued: Mapping[str, object]


def issue_into(bigquery: BigQuery, tenant_id: str, settings: Settings) -> HeldKey:
    """Write a fresh key into the ledger, without the steps of issuing it."""
    key = generate_tenant_key(settings.environment).get_secret_value()
    row = _row(tenant_id, settings, KeyEventKind.ISSUED) | {
        "key_hash": hash_of(key),
        "scopes": [str(scope) for scope in ALL_SCOPES],
    }
    insert_rows(bigquery, [row])
    return HeldKey(key, row)


def revoke_in(bigquery: BigQuery, held: HeldKey) -> None:
    """Write its revocation into the ledger."""
    kind = KeyEventKind.REVOKED
    changed = {
        "event_id": f"{held.issued['key_id']}.{kind}",
        "kind": str(kind),
        "recorded_at": datetime.now(UTC),
    }
    insert_rows(bigquery, [{**held.issued, "key_hash": None, "scopes": [], **changed}])


def _row(tenant_id: str, settings: Settings, kind: KeyEventKind) -> dict[str, object]:
    key_id = new_key_id()
    return {
        "event_id": f"{key_id}.{kind}",
        "key_id": key_id,
        "tenant_id": tenant_id,
        "kind": str(kind),
        "environment": str(settings.environment),
        "recorded_at": datetime.now(UTC),
    }


def issue_many_into(bigquery: BigQuery, tenant_ids: Sequence[str], settings: Settings) -> list[str]:
    """A key for each tenant, issued an hour ago; what their holders send."""
    an_hour_ago = datetime.now(UTC) - timedelta(hours=1)
    keys = [generate_tenant_key(settings.environment).get_secret_value() for _ in tenant_ids]
    scopes = [str(scope) for scope in ALL_SCOPES]
    rows = [
        _row(tenant_id, settings, KeyEventKind.ISSUED)
        | {"key_hash": hash_of(key), "scopes": scopes, "recorded_at": an_hour_ago}
        for key, tenant_id in zip(keys, tenant_ids, strict=True)
    ]
    bigquery.append(CENTRAL_DATASET, "api_key_events", rows)
    return keys


@contextmanager
def api_processes(
    settings: Settings, directory: Path, count: int = 1, **variables: str
) -> Iterator[list[ApiProcess]]:
    """So many API processes on the emulators of the settings, their keys known; ended, each by its pid, at the end."""
    with ExitStack() as stopping:
        started = [_started(settings, directory / f"api-{number}.log", variables) for number in range(count)]
        for child, _ in started:
            stopping.callback(stop, child)
        for child, process in started:
            _wait_until_keys_are_known(child, process)
        yield [process for _, process in started]


def _started(
    settings: Settings, log: Path, variables: dict[str, str]
) -> tuple[subprocess.Popen[bytes], ApiProcess]:
    port = free_port()
    ours = {name.upper() for name in Settings.model_fields}
    environment = {name: value for name, value in os.environ.items() if name not in ours}
    environment |= {
        "API_HOST": "127.0.0.1",
        "API_PORT": str(port),
        "GCP_PROJECT_ID": settings.gcp_project_id,
        "ADMIN_API_KEY": "admin_for_the_tests_alone",
        "BIGQUERY_EMULATOR_HOST": str(settings.bigquery_emulator_host),
        "KMS_EMULATOR_HOST": settings.kms_emulator_host or _NOBODY,
        "SECRET_MANAGER_EMULATOR_HOST": settings.secret_manager_emulator_host or _NOBODY,
        "DAGSTER_URL": f"http://{_NOBODY}",
    }
    with log.open("wb") as output:
        child = subprocess.Popen(
            [sys.executable, "-m", "convergence_orchestration.api"],
            env=environment | variables,
            cwd=log.parent,
            stdout=output,
            stderr=output,
            preexec_fn=_heed_interrupts,  # noqa: PLW1509 nothing of ours runs in the child before exec
        )
    return child, ApiProcess(port, child.pid, log)


def _heed_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _wait_until_keys_are_known(child: subprocess.Popen[bytes], process: ApiProcess) -> None:
    deadline = time.monotonic() + PATIENCE
    while child.poll() is None and time.monotonic() < deadline:
        try:
            # Dagster is not there, so the answer is 503; its checks are what counts
            checks = httpx.get(f"{process.url}/health/ready", trust_env=False, timeout=PATIENCE).json()[
                "checks"
            ]
        except httpx.TransportError:
            checks = {}
        if checks and all(checks[name]["status"] == "healthy" for name in ("key_index", "tenant_index")):
            assert httpx.get(f"{process.url}/health/live", trust_env=False).status_code == HTTPStatus.OK
            return
        time.sleep(0.1)
    raise RuntimeError(f"The API did not come up: {process.log.read_text()[-2000:]}")
