"""A local cloud inside of the test's own process, on a clock that the test sets, with the official clients."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
from google.cloud.kms_v1 import CryptoKey, KeyManagementServiceClient, KeyRing
from google.cloud.kms_v1.services.key_management_service.transports import KeyManagementServiceGrpcTransport
from google.cloud.secretmanager_v1 import Secret, SecretManagerServiceClient, SecretPayload
from google.cloud.secretmanager_v1.services.secret_manager_service.transports import (
    SecretManagerServiceGrpcTransport,
)

from convergence_orchestration.local_gcp.server import Ports, serving
from convergence_orchestration_tests.emulators import fresh_project_id

_SECRET_ID = "admin-api-key"


@dataclass
class SettableClock:
    now: datetime = field(default_factory=lambda: datetime(2026, 11, 23, 12, tzinfo=UTC))

    def __call__(self) -> datetime:
        return self.now

    def advance(self, by: timedelta) -> None:
        self.now += by


@dataclass
class Cloud:
    data_dir: Path
    ports: Ports
    clock: SettableClock
    kms: KeyManagementServiceClient
    secrets: SecretManagerServiceClient
    project: str = field(default_factory=fresh_project_id)

    @property
    def location(self) -> str:
        return f"projects/{self.project}/locations/us-central1"

    @property
    def faults_file(self) -> Path:
        return self.data_dir / "faults.yaml"

    def key(self, **fields: object) -> str:
        """A key in a ring of its own; its name."""
        ring = self.kms.create_key_ring(
            parent=self.location, key_ring_id=fresh_project_id(), key_ring=KeyRing()
        )
        asked = CryptoKey({"purpose": CryptoKey.CryptoKeyPurpose.ENCRYPT_DECRYPT, **fields})
        return self.kms.create_crypto_key(parent=ring.name, crypto_key_id="sealing", crypto_key=asked).name

    def secret(self, secret_id: str = _SECRET_ID, **fields: Any) -> str:
        """A secret without a version; its name."""
        asked = Secret({"replication": {"automatic": {}}, **fields})
        return self.secrets.create_secret(
            parent=f"projects/{self.project}", secret_id=secret_id, secret=asked
        ).name

    def add(self, secret: str, payload: bytes = b"a payload") -> str:
        """A version with this payload; its name."""
        return self.secrets.add_secret_version(parent=secret, payload=SecretPayload(data=payload)).name


@contextmanager
def running_cloud(data_dir: Path) -> Iterator[Cloud]:
    clock = SettableClock()
    with serving(data_dir, clock=clock) as ports, clients(f"127.0.0.1:{ports.grpc}") as (kms, secrets):
        yield Cloud(data_dir, ports, clock, kms, secrets)


@contextmanager
def interrupts_ignored() -> Iterator[None]:
    """Children started meanwhile begin with SIGINT ignored, as a shell starts its background jobs."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def clients(address: str) -> Iterator[tuple[KeyManagementServiceClient, SecretManagerServiceClient]]:
    """The official clients on a port without TLS."""
    with grpc.insecure_channel(address) as channel:
        yield (
            KeyManagementServiceClient(transport=KeyManagementServiceGrpcTransport(channel=channel)),
            SecretManagerServiceClient(transport=SecretManagerServiceGrpcTransport(channel=channel)),
        )
