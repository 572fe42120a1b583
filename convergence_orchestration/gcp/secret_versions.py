"""What is known of secrets besides their payloads: versions and their states, annotations, lists, the end of a version.

What belongs here: metadata. Google answers 600 reads of it a minute in a whole project, where it gives out payloads 90,000
times (`secrets.py`): whoever is asked often asks there.
"""

from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from google.api_core.exceptions import Aborted, FailedPrecondition, NotFound
from google.cloud import secretmanager_v1

from convergence_orchestration.gcp.deadlines import each_attempt, repeatable
from convergence_orchestration.gcp.grants import project_grant
from convergence_orchestration.gcp.policies import Policies
from convergence_orchestration.gcp.secrets import Secrets
from convergence_orchestration.gcp.translate import Service, translated


class VersionState(StrEnum):
    """A version can be read if it is ENABLED, can be read again if it is DISABLED, and never if it is DESTROYED."""

    ENABLED = "ENABLED"
    DISABLED = "DISABLED"
    DESTROYED = "DESTROYED"


@dataclass(frozen=True)
class Version:
    """A version of a secret without its payload; `created_at` is UTC."""

    number: int
    state: VersionState
    created_at: datetime


@dataclass(frozen=True)
class SecretFacts:
    """A secret without anything secret; the etag guards a change of the annotations."""

    secret_id: str
    labels: dict[str, str] = field(default_factory=dict)
    annotations: dict[str, str] = field(default_factory=dict)
    etag: str = ""


class SecretVersions:
    """The metadata of one project's secrets. Every method raises the errors of `translate.py`."""

    def __init__(self, secrets: Secrets) -> None:
        self._client = secrets.client
        self._project = secrets.project
        self._service = Service("Secret Manager", str(secrets.client.transport.host), secrets.project)
        self.policies = Policies(secrets.client, self._service)

    def name(self, secret_id: str) -> str:
        """The secret's full resource name."""
        return f"projects/{self._project}/secrets/{secret_id}"

    def secret(self, secret_id: str) -> SecretFacts | None:
        """One secret; None if it is not there."""
        with self._looking(f"looking at secret {secret_id}"):
            try:
                found = self._client.get_secret(
                    name=self.name(secret_id), retry=repeatable(), timeout=each_attempt()
                )
            except NotFound:
                return None
        return _facts(found)

    def secrets_named(self, part: str) -> list[SecretFacts]:
        """The secrets whose id has `part` in it, the newest first."""
        request = {"parent": f"projects/{self._project}", "filter": f"name:{part}", "page_size": 1000}
        with self._looking(f"listing the secrets named {part}"):
            pages = self._client.list_secrets(request=request, retry=repeatable(), timeout=each_attempt())
            found = [_facts(secret) for secret in pages]
        return [facts for facts in found if part in facts.secret_id]

    def versions(self, secret_id: str) -> list[Version]:
        """A secret's versions, the newest first, destroyed ones among them.

        Raises:
            PermanentError: NOT_FOUND if there is no such secret.
        """
        with self._looking(f"listing the versions of secret {secret_id}"):
            pages = self._client.list_secret_versions(
                parent=self.name(secret_id), retry=repeatable(), timeout=each_attempt()
            )
            found = [_version(each) for each in pages]
        return sorted(found, key=lambda version: version.number, reverse=True)

    def annotate(self, secret: SecretFacts, key: str, value: str) -> bool:
        """Set one annotation of a secret as it was read: False if it was changed since."""
        changed = secretmanager_v1.Secret(
            name=self.name(secret.secret_id), annotations={**secret.annotations, key: value}, etag=secret.etag
        )
        with self._changing(f"annotating secret {secret.secret_id}"):
            try:
                self._client.update_secret(
                    secret=changed,
                    update_mask={"paths": ["annotations"]},
                    retry=repeatable(),
                    timeout=each_attempt(),
                )
            except (Aborted, FailedPrecondition):
                return False
        return True

    def disable(self, secret_id: str, number: int) -> None:
        """Let a version be read no more, for the time being."""
        with self._changing(f"disabling version {number} of secret {secret_id}"):
            self._client.disable_secret_version(
                name=f"{self.name(secret_id)}/versions/{number}", retry=repeatable(), timeout=each_attempt()
            )

    def destroy(self, secret_id: str, number: int) -> None:
        """Destroy a version's payload for ever; one that is destroyed already stays so."""
        with (
            self._changing(f"destroying version {number} of secret {secret_id}"),
            suppress(FailedPrecondition),
        ):
            self._client.destroy_secret_version(
                name=f"{self.name(secret_id)}/versions/{number}", retry=repeatable(), timeout=each_attempt()
            )

    def delete(self, secret_id: str) -> bool:
        """Delete a secret with all its versions: False if it is not there."""
        with self._changing(f"deleting secret {secret_id}"):
            try:
                self._client.delete_secret(
                    name=self.name(secret_id), retry=repeatable(), timeout=each_attempt()
                )
            except NotFound:
                return False
        return True

    def console_url(self, secret_id: str) -> str:
        """Where a person sees the secret in Google's console."""
        page = "https://console.cloud.google.com/security/secret-manager/secret"
        return f"{page}/{secret_id}/versions?project={self._project}"

    def _looking(self, doing: str) -> AbstractContextManager[None]:
        return self._translated(doing, "roles/secretmanager.viewer")

    def _changing(self, doing: str) -> AbstractContextManager[None]:
        return self._translated(doing, "roles/secretmanager.admin")

    def _translated(self, doing: str, role: str) -> AbstractContextManager[None]:
        return translated(doing, self._service, project_grant(self._project, role))


def _facts(secret: secretmanager_v1.Secret) -> SecretFacts:
    secret_id = secret.name.rpartition("/")[2]
    return SecretFacts(secret_id, dict(secret.labels), dict(secret.annotations), secret.etag)


def _version(found: secretmanager_v1.SecretVersion) -> Version:
    number = int(found.name.rpartition("/")[2])
    return Version(number, VersionState(found.state.name), found.create_time)
