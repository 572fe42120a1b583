"""Secret Manager: secrets, their versions, and checksums both ways.

What belongs here: the calls and their checks. Which secret means what is the business of whoever asks.
"""

import hmac
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from types import MappingProxyType
from typing import Final

import google_crc32c
from google.api_core.exceptions import AlreadyExists, NotFound
from google.cloud import secretmanager_v1

from convergence_orchestration.errors import ConvergenceError, ErrorCode, TransientError
from convergence_orchestration.gcp.deadlines import each_attempt, repeatable
from convergence_orchestration.gcp.grants import project_grant
from convergence_orchestration.gcp.translate import Service, translated

_NO_LABELS: Final[Mapping[str, str]] = MappingProxyType({})
_SECRETS_A_PAGE: Final = 1000
_NO_NEWEST = (ErrorCode.NOT_FOUND, ErrorCode.FAILED_PRECONDITION)  # no version yet, or the newest is disabled


@dataclass(frozen=True)
class SecretVersion:
    """One version of a secret.

    Attributes:
        name: full resource name, ending in the version's number.
        payload: the secret itself.
    """

    name: str
    payload: bytes = field(repr=False)


@dataclass(frozen=True)
class SecretFacts:
    """What is known of a secret without its payload; `created_at` is UTC."""

    secret_id: str
    labels: Mapping[str, str]
    created_at: datetime


class Secrets:
    """The secrets of one project. Every method raises the errors of `translate.py`."""

    def __init__(self, client: secretmanager_v1.SecretManagerServiceClient, project: str) -> None:
        self.client = client
        self.project = project
        self._service = Service("Secret Manager", str(client.transport.host), project)

    def ensure_secret(self, secret_id: str, labels: Mapping[str, str] = _NO_LABELS) -> bool:
        """Make sure the secret exists, replicated automatically: True if this call made it (without a version)."""
        with self._translated(f"making sure of secret {secret_id}", "roles/secretmanager.admin"):
            try:
                self.client.get_secret(name=self._name(secret_id), retry=repeatable(), timeout=each_attempt())
            except NotFound:
                return self._create(secret_id, labels)
        return False

    def add_version(self, secret_id: str, payload: bytes) -> str:
        """Make `payload` (at most 64 KiB) the newest version; the version's name. The same payload adds nothing.

        Raises:
            PermanentError: NOT_FOUND if there is no such secret.
        """
        with self._translated(f"adding a version to secret {secret_id}", "roles/secretmanager.admin"):
            return repeatable()(partial(self._add_unless_newest, secret_id, payload))()

    def access(self, secret_id: str, version: str = "latest") -> SecretVersion:
        """A version with its payload.

        Raises:
            PermanentError: NOT_FOUND if there is no such secret or version, FAILED_PRECONDITION if it is disabled.
            TransientError: DATA_CORRUPTED if the payload was damaged on its way.
        """
        with self._translated(f"reading secret {secret_id}", "roles/secretmanager.secretAccessor"):
            answer = self.client.access_secret_version(
                name=f"{self._name(secret_id)}/versions/{version}", retry=repeatable(), timeout=each_attempt()
            )
        intact = answer.payload.data_crc32c == _crc32c(answer.payload.data) and _is_version_of(
            secret_id, answer.name
        )
        if not intact:
            raise TransientError(
                ErrorCode.DATA_CORRUPTED,
                f"Try again: secret {secret_id} was damaged on its way from Secret Manager.",
                retry_after=1.0,
            )
        return SecretVersion(name=answer.name, payload=bytes(answer.payload.data))

    def delete_secret(self, secret_id: str) -> bool:
        """Delete a secret with all its versions, for good: True if it was there."""
        with self._translated(f"deleting secret {secret_id}", "roles/secretmanager.admin"):
            try:
                self.client.delete_secret(
                    name=self._name(secret_id), retry=repeatable(), timeout=each_attempt()
                )
            except NotFound:  # or our first request arrived and its answer did not
                return False
        return True

    def list_secrets(self, prefix: str, labels: Mapping[str, str] = _NO_LABELS) -> list[SecretFacts]:
        """The secrets whose ids begin with `prefix` and that have these labels, in no order; no others are sent to us.

        Google's filter finds `prefix` anywhere in a name, so what it lets through is looked at again.
        """
        terms = [f'name:"{prefix}"', *(f'labels.{name}="{value}"' for name, value in labels.items())]
        request = secretmanager_v1.ListSecretsRequest(
            parent=f"projects/{self.project}", page_size=_SECRETS_A_PAGE, filter=" AND ".join(terms)
        )
        with self._translated(f"listing secrets {prefix}...", "roles/secretmanager.viewer"):
            listed = self.client.list_secrets(request=request, retry=repeatable(), timeout=each_attempt())
            facts = [_facts(secret) for secret in listed]
        return [
            each
            for each in facts
            if each.secret_id.startswith(prefix) and labels.items() <= each.labels.items()
        ]

    def _add_unless_newest(self, secret_id: str, payload: bytes) -> str:
        """One attempt; it looks first, for the attempt before may have arrived and only its answer been lost."""
        newest = self._newest(secret_id)
        if newest is not None and hmac.compare_digest(newest.payload, payload):
            return newest.name
        added = self.client.add_secret_version(
            parent=self._name(secret_id),
            payload=secretmanager_v1.SecretPayload(data=payload, data_crc32c=_crc32c(payload)),
            retry=None,
            timeout=each_attempt(),
        )
        return str(added.name)

    def _newest(self, secret_id: str) -> SecretVersion | None:
        try:
            return self.access(secret_id)
        except ConvergenceError as error:
            if error.code in _NO_NEWEST:
                return None
            raise

    def _create(self, secret_id: str, labels: Mapping[str, str]) -> bool:
        secret = secretmanager_v1.Secret(
            replication=secretmanager_v1.Replication(automatic=secretmanager_v1.Replication.Automatic()),
            labels=dict(labels),
        )
        try:
            self.client.create_secret(
                parent=f"projects/{self.project}",
                secret_id=secret_id,
                secret=secret,
                retry=repeatable(),
                timeout=each_attempt(),
            )
        except AlreadyExists:
            return False
        return True

    def _name(self, secret_id: str) -> str:
        return f"projects/{self.project}/secrets/{secret_id}"

    def _translated(self, doing: str, role: str) -> AbstractContextManager[None]:
        return translated(doing, self._service, project_grant(self.project, role))


def _facts(secret: secretmanager_v1.Secret) -> SecretFacts:
    created: datetime = secret.create_time
    return SecretFacts(secret.name.rpartition("/")[2], dict(secret.labels), created.astimezone(UTC))


def _is_version_of(secret_id: str, name: str) -> bool:
    """The name holds the project's number where we know its id, so only what follows is compared."""
    parent, _, number = name.partition("/versions/")
    return parent.endswith(f"/secrets/{secret_id}") and number.isdecimal()


def _crc32c(content: bytes) -> int:
    return int(google_crc32c.value(content))
