from datetime import timedelta

import pytest
from google.api_core import exceptions
from google.cloud.kms_v1 import CryptoKeyVersion
from google.protobuf.field_mask_pb2 import FieldMask

from convergence_orchestration_tests.local_gcp.clouds import Cloud

State = CryptoKeyVersion.CryptoKeyVersionState


def _set_state(cloud: Cloud, name: str, state: int, mask: str = "state") -> CryptoKeyVersion:
    return cloud.kms.update_crypto_key_version(
        crypto_key_version=CryptoKeyVersion(name=name, state=State(state)),
        update_mask=FieldMask(paths=[mask]),
    )


def _states(cloud: Cloud, key: str) -> list[str]:
    return [State(version.state).name for version in cloud.kms.list_crypto_key_versions(parent=key)]


def test_a_new_version_is_enabled_and_not_primary_until_it_is_made_so(cloud: Cloud) -> None:
    key = cloud.key()

    version = cloud.kms.create_crypto_key_version(parent=key, crypto_key_version=CryptoKeyVersion())

    assert version.name == f"{key}/cryptoKeyVersions/2"
    assert cloud.kms.get_crypto_key_version(name=version.name) == version
    assert cloud.kms.encrypt(name=key, plaintext=b"text").name.endswith("/1")
    changed = cloud.kms.update_crypto_key_primary_version(name=key, crypto_key_version_id="2")
    assert changed.primary == version
    assert cloud.kms.encrypt(name=key, plaintext=b"text").name == version.name


def test_a_version_can_only_be_primary_when_it_is_there_and_enabled(cloud: Cloud) -> None:
    key = cloud.key()
    version = cloud.kms.create_crypto_key_version(parent=key, crypto_key_version=CryptoKeyVersion())
    _set_state(cloud, version.name, State.DISABLED)

    with pytest.raises(exceptions.FailedPrecondition, match="is not ENABLED, current state is: DISABLED"):
        cloud.kms.update_crypto_key_primary_version(name=key, crypto_key_version_id="2")
    with pytest.raises(exceptions.NotFound):
        cloud.kms.update_crypto_key_primary_version(name=key, crypto_key_version_id="3")
    with pytest.raises(exceptions.InvalidArgument, match="number of a version"):
        cloud.kms.update_crypto_key_primary_version(name=key, crypto_key_version_id="two")


def test_a_disabled_version_neither_encrypts_nor_decrypts_until_it_is_enabled(cloud: Cloud) -> None:
    key = cloud.key()
    sealed = cloud.kms.encrypt(name=key, plaintext=b"text")

    _set_state(cloud, sealed.name, State.DISABLED)
    with pytest.raises(exceptions.FailedPrecondition, match="DISABLED"):
        cloud.kms.encrypt(name=key, plaintext=b"text")
    with pytest.raises(exceptions.FailedPrecondition, match="DISABLED"):
        cloud.kms.decrypt(name=key, ciphertext=sealed.ciphertext)
    assert cloud.kms.get_crypto_key(name=key).primary.state == State.DISABLED

    _set_state(cloud, sealed.name, State.ENABLED)
    assert cloud.kms.decrypt(name=key, ciphertext=sealed.ciphertext).plaintext == b"text"


def test_a_version_is_destroyed_when_its_waiting_time_is_over_and_not_before(cloud: Cloud) -> None:
    key = cloud.key(destroy_scheduled_duration=timedelta(days=2))
    sealed = cloud.kms.encrypt(name=key, plaintext=b"text")

    waiting = cloud.kms.destroy_crypto_key_version(name=sealed.name)
    assert waiting.state == State.DESTROY_SCHEDULED
    assert waiting.destroy_time == cloud.clock.now + timedelta(days=2)
    with pytest.raises(exceptions.FailedPrecondition, match="DESTROY_SCHEDULED"):
        cloud.kms.decrypt(name=key, ciphertext=sealed.ciphertext)

    cloud.clock.advance(timedelta(days=2))
    gone = cloud.kms.get_crypto_key_version(name=sealed.name)
    assert gone.state == State.DESTROYED
    assert gone.destroy_event_time == cloud.clock.now
    assert "destroy_time" not in gone
    with pytest.raises(exceptions.FailedPrecondition, match="DESTROYED"):
        cloud.kms.decrypt(name=key, ciphertext=sealed.ciphertext)
    with pytest.raises(exceptions.FailedPrecondition, match="DESTROYED"):
        cloud.kms.restore_crypto_key_version(name=sealed.name)
    with pytest.raises(exceptions.FailedPrecondition, match="DESTROYED"):
        _set_state(cloud, sealed.name, State.ENABLED)


def test_a_restored_version_is_disabled_and_stays(cloud: Cloud) -> None:
    key = cloud.key()
    sealed = cloud.kms.encrypt(name=key, plaintext=b"text")
    cloud.kms.destroy_crypto_key_version(name=sealed.name)

    restored = cloud.kms.restore_crypto_key_version(name=sealed.name)
    assert restored.state == State.DISABLED
    assert "destroy_time" not in restored

    cloud.clock.advance(timedelta(days=365))
    _set_state(cloud, sealed.name, State.ENABLED)
    assert cloud.kms.decrypt(name=key, ciphertext=sealed.ciphertext).plaintext == b"text"


def test_what_the_state_forbids_is_a_failed_precondition(cloud: Cloud) -> None:
    name = f"{cloud.key()}/cryptoKeyVersions/1"

    with pytest.raises(exceptions.FailedPrecondition, match="not DESTROY_SCHEDULED"):
        cloud.kms.restore_crypto_key_version(name=name)
    cloud.kms.destroy_crypto_key_version(name=name)
    with pytest.raises(exceptions.FailedPrecondition, match="not ENABLED or DISABLED"):
        cloud.kms.destroy_crypto_key_version(name=name)


def test_a_version_is_only_ever_set_to_enabled_or_disabled(cloud: Cloud) -> None:
    key = cloud.key()

    with pytest.raises(exceptions.InvalidArgument, match="ENABLED or DISABLED only"):
        _set_state(cloud, f"{key}/cryptoKeyVersions/1", State.DESTROYED)
    with pytest.raises(exceptions.InvalidArgument, match="update_mask names algorithm"):
        _set_state(cloud, f"{key}/cryptoKeyVersions/1", State.DISABLED, mask="algorithm")
    assert _states(cloud, key) == ["ENABLED"]


def test_versions_are_listed_in_order_with_the_destroyed_ones(cloud: Cloud) -> None:
    key = cloud.key()
    for _ in range(11):
        cloud.kms.create_crypto_key_version(parent=key, crypto_key_version=CryptoKeyVersion())
    cloud.kms.destroy_crypto_key_version(name=f"{key}/cryptoKeyVersions/2")
    cloud.clock.advance(timedelta(days=31))

    found = list(cloud.kms.list_crypto_key_versions(request={"parent": key, "page_size": 5}))

    assert [version.name for version in found] == [f"{key}/cryptoKeyVersions/{n}" for n in range(1, 13)]
    assert _states(cloud, key)[:3] == ["ENABLED", "DESTROYED", "ENABLED"]


def test_keys_and_versions_that_are_not_there_are_not_found(cloud: Cloud) -> None:
    key = cloud.key()

    with pytest.raises(exceptions.NotFound):
        cloud.kms.get_crypto_key_version(name=f"{key}/cryptoKeyVersions/2")
    with pytest.raises(exceptions.NotFound):
        cloud.kms.get_crypto_key(name=f"{key}2")
    with pytest.raises(exceptions.NotFound):
        list(cloud.kms.list_crypto_key_versions(parent=f"{key}2"))
    with pytest.raises(exceptions.NotFound):
        cloud.kms.create_crypto_key_version(parent=f"{key}2", crypto_key_version=CryptoKeyVersion())
