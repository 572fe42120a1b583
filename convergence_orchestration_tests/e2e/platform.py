"""A whole platform of real processes for end-to-end tests, driven as a person drives it: by `convergence` and HTTP."""

import contextlib
import json
import os
import random
import socket
import subprocess
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx
from google.cloud import bigquery

from convergence_orchestration.gcp.clients import bigquery_client
from convergence_orchestration.settings import Settings, load_settings

CONVERGENCE = Path(sys.executable).with_name("convergence")
PORTS = 9
PATIENCE = 180
"""Seconds; far above what anything here takes, so that a loaded machine fails no test."""


@dataclass
class Platform:
    """One platform in one data directory."""

    data_dir: Path
    base_port: int
    environment: str = "development"

    def convergence(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Type `convergence WORDS... --data-dir DIR` and wait for its end."""
        ended = subprocess.run(
            [CONVERGENCE, *words, "--data-dir", self.data_dir],
            cwd=self.data_dir.parent,
            env=_environment_without_settings(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        if check and ended.returncode:
            raise AssertionError(
                f"convergence {words} ended with {ended.returncode}:\n{ended.stdout}\n{ended.stderr}"
            )
        return ended

    def up(self) -> None:
        """Start everything and come back when it is healthy."""
        words = ("--environment", self.environment)
        self.convergence("up", "--detach", "--base-port", str(self.base_port), *words)

    def down(self) -> None:
        """Stop everything."""
        self.convergence("down")

    def status(self) -> dict[str, Any]:
        """What `convergence status --json` says."""
        status: dict[str, Any] = json.loads(self.convergence("status", "--json", check=False).stdout)
        return status

    @cached_property
    def admin_key(self) -> str:
        """The administrators' key, as `convergence admin-key` prints it."""
        return self.convergence("admin-key").stdout.strip()

    @property
    def faults_file(self) -> Path:
        """What the emulators of this platform read their faults from."""
        return self.data_dir / "faults.yaml"

    @property
    def api_url(self) -> str:
        """Where the API listens."""
        return f"http://127.0.0.1:{self.base_port}"

    @property
    def dagster_url(self) -> str:
        """Where Dagster's web server listens."""
        return f"http://127.0.0.1:{self.base_port + 1}"

    def admin(self, method: str, path: str, body: object = None, **headers: str) -> httpx.Response:
        """Call `/api/v1/admin{path}` with the administrators' key."""
        return httpx.request(
            method,
            f"{self.api_url}/api/v1/admin{path}",
            json=body,
            headers={"X-Admin-Key": self.admin_key} | headers,
            timeout=PATIENCE,
        )

    def me(self, api_key: str) -> httpx.Response:
        """GET /api/v1/tenants/me with a tenant's key."""
        return httpx.get(
            f"{self.api_url}/api/v1/tenants/me", headers={"X-API-Key": api_key}, timeout=PATIENCE
        )

    def graphql(self, query: str, **variables: object) -> Any:
        """The `data` of a GraphQL answer of Dagster's web server."""
        answer = httpx.post(
            f"{self.dagster_url}/graphql", json={"query": query, "variables": variables}, timeout=PATIENCE
        ).json()
        assert "errors" not in answer, answer["errors"]
        return answer["data"]

    def run_status(self, run_id: str) -> str:
        """A run's status as Dagster tells it."""
        data = self.graphql("query($id: ID!) { runOrError(runId: $id) { ... on Run { status } } }", id=run_id)
        return str(data["runOrError"]["status"])

    def bigquery(self) -> bigquery.Client:
        """A plain BigQuery client for this platform's emulator."""
        return bigquery_client(self.settings)

    @property
    def settings(self) -> Settings:
        """Settings that reach this platform's emulators."""
        gcp = f"127.0.0.1:{self.base_port + 3}"
        return load_settings(
            _env_file=None,
            bigquery_emulator_host=f"http://127.0.0.1:{self.base_port + 2}",
            kms_emulator_host=gcp,
            secret_manager_emulator_host=gcp,
            run_emulator_host=gcp,
            build_emulator_host=gcp,
            monitoring_emulator_host=gcp,
            dagster_url=self.dagster_url,
            environment=self.environment,
        )


def free_base_port() -> int:
    """The first of as many free ports in a row as a platform takes."""
    candidates = list(range(21000, 29000, 10))
    random.shuffle(candidates)
    return next(base for base in candidates if all(_is_free(port) for port in range(base, base + PORTS)))


def _is_free(port: int) -> bool:
    with contextlib.closing(socket.socket()) as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def _environment_without_settings() -> dict[str, str]:
    ours = {name.upper() for name in Settings.model_fields}
    return {name: value for name, value in os.environ.items() if name.upper() not in ours}
