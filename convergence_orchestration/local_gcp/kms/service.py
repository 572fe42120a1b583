"""google.cloud.kms.v1.KeyManagementService.

What belongs here: one function for each method: check, look up, act, answer.
"""

from google.cloud.kms_v1 import types
from google.cloud.kms_v1.services.key_management_service.transports.rest_base import (
    _BaseKeyManagementServiceRestTransport,
)

from convergence_orchestration.local_gcp.fields import (
    apply_mask,
    crc32c,
    require_checksum,
    require_id,
    require_name,
    require_size,
)
from convergence_orchestration.local_gcp.kms import cipher, names, rules, versions
from convergence_orchestration.local_gcp.kms.versions import State
from convergence_orchestration.local_gcp.paging import page
from convergence_orchestration.local_gcp.refusals import (
    already_exists,
    failed_precondition,
    invalid,
    not_found,
)
from convergence_orchestration.local_gcp.rpc import Call, Service, rpc
from convergence_orchestration.local_gcp.store import Due

_MAX_BYTES = 64 * 1024
_CIPHERTEXT_OVERHEAD = 1024


class KeyManagement(Service):
    """Key rings, keys, versions, encryption."""

    full_name = "google.cloud.kms.v1.KeyManagementService"
    host = "cloudkms.googleapis.com"
    http_rules = _BaseKeyManagementServiceRestTransport
    events = (versions.ROTATE, versions.DESTROY)

    def elapsed(self, due: Due, call: Call) -> None:
        """Rotate a key or destroy a version."""
        if due.event == versions.ROTATE:
            versions.rotate(call.rows, due)
        else:
            versions.destroy(call.rows, due)

    # key rings

    @rpc(writes=True)
    def create_key_ring(self, request: types.CreateKeyRingRequest, call: Call) -> types.KeyRing:
        """A new key ring; it can never be deleted."""
        require_name(names.LOCATION, request.parent, "parent")
        require_id(names.ID, request.key_ring_id, "key_ring_id")
        name = f"{request.parent}/keyRings/{request.key_ring_id}"
        if call.rows.get(types.KeyRing, name):
            already_exists(f"KeyRing {name}")
        ring = types.KeyRing(name=name, create_time=call.now)
        call.rows.insert(name, request.parent, ring)
        return ring

    @rpc(writes=False)
    def get_key_ring(self, request: types.GetKeyRingRequest, call: Call) -> types.KeyRing:
        """One key ring."""
        require_name(names.KEY_RING, request.name, "name")
        return call.rows.get(types.KeyRing, request.name) or not_found(f"KeyRing {request.name}")

    @rpc(writes=False)
    def list_key_rings(self, request: types.ListKeyRingsRequest, call: Call) -> types.ListKeyRingsResponse:
        """A location's key rings."""
        require_name(names.LOCATION, request.parent, "parent")
        rings, token = page(call.rows.oldest_first, types.KeyRing, request.parent, request)
        total = call.rows.count(types.KeyRing, request.parent)
        return types.ListKeyRingsResponse(key_rings=rings, next_page_token=token, total_size=total)

    # keys

    @rpc(writes=True)
    def create_crypto_key(self, request: types.CreateCryptoKeyRequest, call: Call) -> types.CryptoKey:
        """A new key with its first version, which is primary."""
        require_name(names.KEY_RING, request.parent, "parent")
        require_id(names.ID, request.crypto_key_id, "crypto_key_id")
        if call.rows.get(types.KeyRing, request.parent) is None:
            not_found(f"KeyRing {request.parent}")
        name = f"{request.parent}/cryptoKeys/{request.crypto_key_id}"
        if call.rows.get(types.CryptoKey, name):
            already_exists(f"CryptoKey {name}")
        key = rules.new_key(request.crypto_key, name, call.now)
        call.rows.insert(name, request.parent, key)
        call.rows.set_timer(name, versions.ROTATE, key.next_rotation_time)
        if not request.skip_initial_version_creation:
            versions.set_primary(call.rows, key, versions.add_version(call.rows, key, call.now))
        return versions.with_primary(call.rows, key)

    @rpc(writes=False)
    def get_crypto_key(self, request: types.GetCryptoKeyRequest, call: Call) -> types.CryptoKey:
        """One key with its primary version."""
        require_name(names.CRYPTO_KEY, request.name, "name")
        return versions.with_primary(call.rows, versions.require_key(call.rows, request.name))

    @rpc(writes=False)
    def list_crypto_keys(
        self, request: types.ListCryptoKeysRequest, call: Call
    ) -> types.ListCryptoKeysResponse:
        """A key ring's keys."""
        require_name(names.KEY_RING, request.parent, "parent")
        if call.rows.get(types.KeyRing, request.parent) is None:
            not_found(f"KeyRing {request.parent}")
        keys, token = page(call.rows.oldest_first, types.CryptoKey, request.parent, request)
        return types.ListCryptoKeysResponse(
            crypto_keys=[versions.with_primary(call.rows, key) for key in keys],
            next_page_token=token,
            total_size=call.rows.count(types.CryptoKey, request.parent),
        )

    @rpc(writes=True)
    def update_crypto_key(self, request: types.UpdateCryptoKeyRequest, call: Call) -> types.CryptoKey:
        """The key with new labels, rotation schedule or version template."""
        require_name(names.CRYPTO_KEY, request.crypto_key.name, "crypto_key.name")
        key = versions.require_key(call.rows, request.crypto_key.name)
        changed = apply_mask(request.update_mask, request.crypto_key, key, rules.CHANGEABLE)
        rules.require_valid(key)
        if "next_rotation_time" in changed:
            rules.require_future_rotation(key, call.now)
        call.rows.update(key.name, key)
        call.rows.set_timer(key.name, versions.ROTATE, key.next_rotation_time)
        return versions.with_primary(call.rows, key)

    @rpc(writes=True)
    def update_crypto_key_primary_version(
        self, request: types.UpdateCryptoKeyPrimaryVersionRequest, call: Call
    ) -> types.CryptoKey:
        """The key with another primary version."""
        require_name(names.CRYPTO_KEY, request.name, "name")
        key = versions.require_key(call.rows, request.name)
        if not request.crypto_key_version_id.isdecimal():
            invalid("crypto_key_version_id must be the number of a version.")
        name = names.version_name(key.name, int(request.crypto_key_version_id))
        version = versions.require_version(call.rows, name)
        versions.require_state(version, State.ENABLED)
        versions.set_primary(call.rows, key, version)
        return versions.with_primary(call.rows, key)

    # versions

    @rpc(writes=True)
    def create_crypto_key_version(
        self, request: types.CreateCryptoKeyVersionRequest, call: Call
    ) -> types.CryptoKeyVersion:
        """A new version, which is not primary."""
        require_name(names.CRYPTO_KEY, request.parent, "parent")
        key = versions.require_key(call.rows, request.parent)
        return versions.add_version(call.rows, key, call.now)

    @rpc(writes=False)
    def get_crypto_key_version(
        self, request: types.GetCryptoKeyVersionRequest, call: Call
    ) -> types.CryptoKeyVersion:
        """One version."""
        require_name(names.VERSION, request.name, "name")
        return versions.require_version(call.rows, request.name)

    @rpc(writes=False)
    def list_crypto_key_versions(
        self, request: types.ListCryptoKeyVersionsRequest, call: Call
    ) -> types.ListCryptoKeyVersionsResponse:
        """A key's versions, destroyed ones among them."""
        require_name(names.CRYPTO_KEY, request.parent, "parent")
        versions.require_key(call.rows, request.parent)
        found, token = page(call.rows.oldest_first, types.CryptoKeyVersion, request.parent, request)
        total = call.rows.count(types.CryptoKeyVersion, request.parent)
        return types.ListCryptoKeyVersionsResponse(
            crypto_key_versions=found, next_page_token=token, total_size=total
        )

    @rpc(writes=True)
    def update_crypto_key_version(
        self, request: types.UpdateCryptoKeyVersionRequest, call: Call
    ) -> types.CryptoKeyVersion:
        """The version enabled or disabled."""
        asked = request.crypto_key_version
        require_name(names.VERSION, asked.name, "crypto_key_version.name")
        version = versions.require_version(call.rows, asked.name)
        before = types.CryptoKeyVersion(version)
        apply_mask(request.update_mask, asked, version, {"state"})
        if version.state not in {State.ENABLED, State.DISABLED}:
            invalid("crypto_key_version.state can be set to ENABLED or DISABLED only.")
        versions.require_state(before, State.ENABLED, State.DISABLED)
        call.rows.update(version.name, version)
        return version

    @rpc(writes=True)
    def destroy_crypto_key_version(
        self, request: types.DestroyCryptoKeyVersionRequest, call: Call
    ) -> types.CryptoKeyVersion:
        """The version, to be destroyed when the key's waiting time is over."""
        require_name(names.VERSION, request.name, "name")
        version = versions.require_version(call.rows, request.name)
        versions.require_state(version, State.ENABLED, State.DISABLED)
        key = versions.require_key(call.rows, names.key_of_version(version.name))
        versions.schedule_destruction(call.rows, key, version, call.now)
        return version

    @rpc(writes=True)
    def restore_crypto_key_version(
        self, request: types.RestoreCryptoKeyVersionRequest, call: Call
    ) -> types.CryptoKeyVersion:
        """The version, not to be destroyed after all; it is disabled."""
        require_name(names.VERSION, request.name, "name")
        version = versions.require_version(call.rows, request.name)
        versions.require_state(version, State.DESTROY_SCHEDULED)
        versions.restore(call.rows, version)
        return version

    # encryption

    @rpc(writes=False)
    def encrypt(self, request: types.EncryptRequest, call: Call) -> types.EncryptResponse:
        """The ciphertext, by the key's primary version or by the version named."""
        _require_input(request, "plaintext", _MAX_BYTES)
        version = _version_to_encrypt_with(request.name, call)
        versions.require_state(version, State.ENABLED)
        key_name = names.key_of_version(version.name)
        ciphertext = cipher.encrypt(
            call.rows.open(version.name) or b"",
            key_name,
            names.version_number(version.name),
            request.plaintext,
            request.additional_authenticated_data,
        )
        return types.EncryptResponse(
            name=version.name,
            ciphertext=ciphertext,
            ciphertext_crc32c=crc32c(ciphertext),
            verified_plaintext_crc32c=request.plaintext_crc32c is not None,
            verified_additional_authenticated_data_crc32c=(
                request.additional_authenticated_data_crc32c is not None
            ),
            protection_level=version.protection_level,
        )

    @rpc(writes=False)
    def decrypt(self, request: types.DecryptRequest, call: Call) -> types.DecryptResponse:
        """The plaintext, by whichever version made the ciphertext."""
        require_name(names.CRYPTO_KEY, request.name, "name")
        _require_input(request, "ciphertext", _MAX_BYTES + _CIPHERTEXT_OVERHEAD)
        key = versions.require_key(call.rows, request.name)
        number = cipher.number_of(key.name, request.ciphertext)
        version = call.rows.get(types.CryptoKeyVersion, names.version_name(key.name, number))
        if version is None:
            invalid("Decryption failed: the ciphertext is invalid.")
        versions.require_state(version, State.ENABLED)
        material = call.rows.open(version.name) or b""
        plaintext = cipher.decrypt(material, request.ciphertext, request.additional_authenticated_data)
        return types.DecryptResponse(
            plaintext=plaintext,
            plaintext_crc32c=crc32c(plaintext),
            used_primary=version.name == key.primary.name,
            protection_level=version.protection_level,
        )


def _require_input(request: types.EncryptRequest | types.DecryptRequest, field: str, limit: int) -> None:
    content = getattr(request, field)
    additional = request.additional_authenticated_data
    require_size(content, limit, field)
    require_size(additional, _MAX_BYTES, "additional_authenticated_data")
    require_checksum(content, getattr(request, f"{field}_crc32c"), field)
    checksum = request.additional_authenticated_data_crc32c
    require_checksum(additional, checksum, "additional_authenticated_data")


def _version_to_encrypt_with(name: str, call: Call) -> types.CryptoKeyVersion:
    if names.VERSION.fullmatch(name):
        return versions.require_version(call.rows, name)
    require_name(names.CRYPTO_KEY, name, "name")
    key = versions.require_key(call.rows, name)
    if not key.primary.name:
        failed_precondition(f"CryptoKey {name} has no primary version.")
    return versions.require_version(call.rows, key.primary.name)
