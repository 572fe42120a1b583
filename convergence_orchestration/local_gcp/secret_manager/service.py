"""google.cloud.secretmanager.v1.SecretManagerService.

What belongs here: one function for each method: check, look up, act, answer.
"""

from google.cloud.secretmanager_v1 import types
from google.cloud.secretmanager_v1.services.secret_manager_service.transports.rest_base import (
    _BaseSecretManagerServiceRestTransport,
)

from convergence_orchestration.local_gcp.fields import (
    apply_mask,
    crc32c,
    require_checksum,
    require_id,
    require_name,
    require_size,
)
from convergence_orchestration.local_gcp.iam import PolicyHolders
from convergence_orchestration.local_gcp.paging import page
from convergence_orchestration.local_gcp.refusals import already_exists, failed_precondition, invalid
from convergence_orchestration.local_gcp.rpc import Call, rpc
from convergence_orchestration.local_gcp.secret_manager import names, rules, versions
from convergence_orchestration.local_gcp.secret_manager.filters import filter_of
from convergence_orchestration.local_gcp.secret_manager.versions import State
from convergence_orchestration.local_gcp.store import Due, Rows

_MAX_BYTES = 64 * 1024


class SecretManager(PolicyHolders):
    """Secrets, versions, payloads, and the secrets' policies."""

    full_name = "google.cloud.secretmanager.v1.SecretManagerService"
    host = "secretmanager.googleapis.com"
    http_rules = _BaseSecretManagerServiceRestTransport
    events = (versions.EXPIRE, versions.DESTROY)

    def elapsed(self, due: Due, call: Call) -> None:
        """Delete a secret that has expired, or destroy a version whose waiting time is over."""
        if due.event == versions.EXPIRE:
            versions.delete_secret(call.rows, versions.require_secret(call.rows, due.name))
        else:
            versions.destroy(call.rows, versions.require_version(call.rows, due.name), due.at)

    def require_holder(self, resource: str, rows: Rows) -> None:
        """Refuse unless this is a secret."""
        require_name(names.SECRET, resource, "resource")
        versions.require_secret(rows, resource)

    # secrets

    @rpc(writes=True)
    def create_secret(self, request: types.CreateSecretRequest, call: Call) -> types.Secret:
        """A new secret without a version."""
        require_name(names.PROJECT, request.parent, "parent")
        require_id(names.ID, request.secret_id, "secret_id")
        name = f"{request.parent}/secrets/{request.secret_id}"
        if call.rows.get(types.Secret, name):
            already_exists(f"Secret [{name}]")
        secret = rules.new_secret(request.secret, name, versions.new_etag(), call.now)
        if secret.version_aliases:
            invalid("secret.version_aliases can only be set for versions that exist, by an update.")
        call.rows.insert(name, request.parent, secret)
        call.rows.set_timer(name, versions.EXPIRE, secret.expire_time)
        return secret

    @rpc(writes=False)
    def get_secret(self, request: types.GetSecretRequest, call: Call) -> types.Secret:
        """One secret; its payloads are the versions'."""
        require_name(names.SECRET, request.name, "name")
        return versions.require_secret(call.rows, request.name)

    @rpc(writes=False)
    def list_secrets(self, request: types.ListSecretsRequest, call: Call) -> types.ListSecretsResponse:
        """A project's secrets, the newest first."""
        require_name(names.PROJECT, request.parent, "parent")
        keep = filter_of(request.filter) if request.filter else None
        found, token = page(call.rows.newest_first, types.Secret, request.parent, request, keep)
        total = call.rows.count(types.Secret, request.parent)
        return types.ListSecretsResponse(secrets=found, next_page_token=token, total_size=total)

    @rpc(writes=True)
    def update_secret(self, request: types.UpdateSecretRequest, call: Call) -> types.Secret:
        """The secret with the fields that the mask names as they are in the request."""
        require_name(names.SECRET, request.secret.name, "secret.name")
        secret = versions.require_secret(call.rows, request.secret.name)
        versions.require_etag(secret, request.secret.etag)
        apply_mask(request.update_mask, request.secret, secret, rules.CHANGEABLE)
        rules.require_valid(secret, call.now)
        newest = call.rows.last_ordinal(types.SecretVersion, secret.name)
        for alias, number in secret.version_aliases.items():
            if not 1 <= number <= newest:
                failed_precondition(f"Version alias [{alias}] is for version {number}, which does not exist.")
        secret.etag = versions.new_etag()
        call.rows.update(secret.name, secret)
        call.rows.set_timer(secret.name, versions.EXPIRE, secret.expire_time)
        return secret

    @rpc(writes=True)
    def delete_secret(self, request: types.DeleteSecretRequest, call: Call) -> None:
        """The secret and all its versions are gone."""
        require_name(names.SECRET, request.name, "name")
        secret = versions.require_secret(call.rows, request.name)
        versions.require_etag(secret, request.etag)
        versions.delete_secret(call.rows, secret)

    # versions

    @rpc(writes=True)
    def add_secret_version(self, request: types.AddSecretVersionRequest, call: Call) -> types.SecretVersion:
        """A new, enabled version with this payload."""
        require_name(names.SECRET, request.parent, "parent")
        payload = request.payload
        if not payload.data:
            invalid("Secret Payload cannot be empty.")
        require_size(payload.data, _MAX_BYTES, "payload.data")
        checksum = payload.data_crc32c if "data_crc32c" in payload else None
        require_checksum(payload.data, checksum, "payload.data")
        secret = versions.require_secret(call.rows, request.parent)
        number = call.rows.last_ordinal(types.SecretVersion, secret.name) + 1
        version = types.SecretVersion(
            name=names.version_name(secret.name, number),
            create_time=call.now,
            state=State.ENABLED,
            replication_status=_replication_status(secret),
            etag=versions.new_etag(),
            client_specified_payload_checksum=checksum is not None,
        )
        call.rows.insert(version.name, secret.name, version)
        call.rows.seal(version.name, payload.data)
        return version

    @rpc(writes=False)
    def get_secret_version(self, request: types.GetSecretVersionRequest, call: Call) -> types.SecretVersion:
        """One version, by number, alias or `latest`; without its payload."""
        require_name(names.VERSION, request.name, "name")
        return versions.require_version(call.rows, request.name)

    @rpc(writes=False)
    def list_secret_versions(
        self, request: types.ListSecretVersionsRequest, call: Call
    ) -> types.ListSecretVersionsResponse:
        """A secret's versions, the newest first, destroyed ones among them."""
        require_name(names.SECRET, request.parent, "parent")
        versions.require_secret(call.rows, request.parent)
        found, token = page(call.rows.newest_first, types.SecretVersion, request.parent, request)
        total = call.rows.count(types.SecretVersion, request.parent)
        return types.ListSecretVersionsResponse(versions=found, next_page_token=token, total_size=total)

    @rpc(writes=False)
    def access_secret_version(
        self, request: types.AccessSecretVersionRequest, call: Call
    ) -> types.AccessSecretVersionResponse:
        """The payload of an enabled version, by number, alias or `latest`."""
        require_name(names.VERSION, request.name, "name")
        version = versions.require_version(call.rows, request.name)
        if version.state != State.ENABLED:
            failed_precondition(f"Secret Version [{version.name}] is in {version.state.name} state.")
        payload = call.rows.open(version.name) or b""
        return types.AccessSecretVersionResponse(
            name=version.name, payload=types.SecretPayload(data=payload, data_crc32c=crc32c(payload))
        )

    @rpc(writes=True)
    def enable_secret_version(
        self, request: types.EnableSecretVersionRequest, call: Call
    ) -> types.SecretVersion:
        """The version, enabled."""
        return versions.set_state(call.rows, _version_to_change(request, call), State.ENABLED)

    @rpc(writes=True)
    def disable_secret_version(
        self, request: types.DisableSecretVersionRequest, call: Call
    ) -> types.SecretVersion:
        """The version, disabled: it keeps its payload and does not show it."""
        return versions.set_state(call.rows, _version_to_change(request, call), State.DISABLED)

    @rpc(writes=True)
    def destroy_secret_version(
        self, request: types.DestroySecretVersionRequest, call: Call
    ) -> types.SecretVersion:
        """The version, destroyed, or disabled until it is where the secret has a `version_destroy_ttl`."""
        version = _version_to_change(request, call)
        secret = versions.require_secret(call.rows, names.parts(version.name)[0])
        if secret.version_destroy_ttl:
            return versions.schedule_destruction(call.rows, version, call.now + secret.version_destroy_ttl)
        return versions.destroy(call.rows, version, call.now)


type _Change = (
    types.EnableSecretVersionRequest | types.DisableSecretVersionRequest | types.DestroySecretVersionRequest
)


def _version_to_change(request: _Change, call: Call) -> types.SecretVersion:
    require_name(names.VERSION, request.name, "name")
    version = versions.require_numbered_version(call.rows, request.name)
    versions.require_etag(version, request.etag)
    versions.require_not_destroyed(version)
    return version


def _replication_status(secret: types.Secret) -> types.ReplicationStatus:
    if "automatic" in secret.replication:
        return types.ReplicationStatus(automatic=types.ReplicationStatus.AutomaticStatus())
    replicas = [
        types.ReplicationStatus.UserManagedStatus.ReplicaStatus(location=replica.location)
        for replica in secret.replication.user_managed.replicas
    ]
    return types.ReplicationStatus(user_managed=types.ReplicationStatus.UserManagedStatus(replicas=replicas))
