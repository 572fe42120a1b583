import time
from datetime import UTC, datetime, timedelta

import pytest
from google.cloud import kms_v1

from convergence_orchestration.errors import ErrorCode, PermanentError, TransientError
from convergence_orchestration.gcp.clients import kms_client
from convergence_orchestration.gcp.kms import Kms
from convergence_orchestration.settings import Settings
from convergence_orchestration_tests.emulators import Emulator
from convergence_orchestration_tests.gcp.faults import faults

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
SERVICE = "google.cloud.kms.v1.KeyManagementService"


@pytest.fixture
def kms(settings: Settings) -> Kms:
    return Kms(kms_client(settings), settings.crypto_key_name)


@pytest.fixture
def ready_kms(kms: Kms) -> Kms:
    kms.ensure_key_ring()
    kms.ensure_crypto_key()
    return kms


def test_ring_and_key_are_made_once(kms: Kms) -> None:
    assert [kms.ensure_key_ring(), kms.ensure_key_ring()] == [True, False]
    assert [kms.ensure_crypto_key(), kms.ensure_crypto_key()] == [True, False]


def test_a_new_key_rotates_every_ninety_days(kms: Kms) -> None:
    now = datetime.now(UTC)
    kms.ensure_key_ring()

    kms.ensure_crypto_key(now)

    made = kms.client.get_crypto_key(name=kms.crypto_key_name)
    assert made.rotation_period == timedelta(days=90)
    assert abs(made.next_rotation_time - (now + timedelta(days=90))) < timedelta(seconds=1)


def test_somebody_quicker_is_no_error(kms: Kms, local_gcp: Emulator) -> None:
    with faults(local_gcp, {"method": f"{SERVICE}/Create*", "code": "ALREADY_EXISTS"}):
        assert kms.ensure_key_ring() is False
        assert kms.ensure_crypto_key() is False


def test_what_was_encrypted_is_decrypted(ready_kms: Kms) -> None:
    ciphertext = ready_kms.encrypt(b"secret", b"acme|key_1|development")

    assert b"secret" not in ciphertext
    assert ready_kms.decrypt(ciphertext, b"acme|key_1|development") == b"secret"


def test_the_version_that_encrypted_is_told(ready_kms: Kms) -> None:
    encrypted = ready_kms.encrypt_with_version(b"secret", b"")

    assert encrypted.key_version == f"{ready_kms.crypto_key_name}/cryptoKeyVersions/1"
    assert ready_kms.decrypt(encrypted.ciphertext, b"") == b"secret"


def test_a_working_key_works(ready_kms: Kms) -> None:
    assert ready_kms.works() is True


@pytest.mark.parametrize("aad", [b"", b"globex|key_1|development"])
def test_another_aad_opens_nothing(ready_kms: Kms, aad: bytes) -> None:
    ciphertext = ready_kms.encrypt(b"secret", b"acme|key_1|development")

    with pytest.raises(PermanentError) as caught:
        ready_kms.decrypt(ciphertext, aad)

    assert caught.value.code is ErrorCode.INVALID_ARGUMENT


def test_a_changed_ciphertext_opens_nothing(ready_kms: Kms) -> None:
    ciphertext = ready_kms.encrypt(b"secret", b"")

    with pytest.raises(PermanentError) as caught:
        ready_kms.decrypt(ciphertext[:-1] + bytes([ciphertext[-1] ^ 1]), b"")

    assert caught.value.code is ErrorCode.INVALID_ARGUMENT


@pytest.mark.parametrize(
    "field",
    [
        "ciphertext",
        "ciphertext_crc32c",
        "verified_plaintext_crc32c",
        "verified_additional_authenticated_data_crc32c",
        "name",
    ],
)
def test_a_damaged_answer_to_encrypt_is_found(ready_kms: Kms, local_gcp: Emulator, field: str) -> None:
    damage = {"method": f"{SERVICE}/Encrypt", "corrupt": field}

    with faults(local_gcp, damage), pytest.raises(TransientError) as caught:
        ready_kms.encrypt(b"secret", b"aad")

    assert caught.value.code is ErrorCode.DATA_CORRUPTED


@pytest.mark.parametrize("field", ["plaintext", "plaintext_crc32c"])
def test_a_damaged_answer_to_decrypt_is_found(ready_kms: Kms, local_gcp: Emulator, field: str) -> None:
    ciphertext = ready_kms.encrypt(b"secret", b"aad")
    damage = {"method": f"{SERVICE}/Decrypt", "corrupt": field}

    with faults(local_gcp, damage), pytest.raises(TransientError) as caught:
        ready_kms.decrypt(ciphertext, b"aad")

    assert caught.value.code is ErrorCode.DATA_CORRUPTED


def test_what_fails_for_a_moment_is_repeated(ready_kms: Kms, local_gcp: Emulator) -> None:
    with faults(
        local_gcp,
        {"method": f"{SERVICE}/Encrypt", "code": "UNAVAILABLE", "times": 1},
        {"method": f"{SERVICE}/Encrypt", "code": "RESOURCE_EXHAUSTED", "times": 1},
    ):
        assert ready_kms.encrypt(b"secret", b"")


def test_a_call_that_gets_no_answer_is_given_up_at_its_deadline(
    ready_kms: Kms, settings: Settings, local_gcp: Emulator
) -> None:
    hasty = Kms(ready_kms.client, settings.crypto_key_name, deadline_seconds=0.6)
    began = time.monotonic()
    slow = {"method": f"{SERVICE}/Encrypt", "delay_seconds": 3}
    with faults(local_gcp, slow), pytest.raises(TransientError) as caught:
        hasty.encrypt(b"secret", b"")
    assert time.monotonic() - began < 2
    assert caught.value.code is ErrorCode.DEADLINE_EXCEEDED


def test_a_missing_role_names_the_command_that_grants_it(ready_kms: Kms, local_gcp: Emulator) -> None:
    refusal = {"method": f"{SERVICE}/*", "code": "PERMISSION_DENIED"}

    with faults(local_gcp, refusal):
        with pytest.raises(PermanentError, match=r"roles/cloudkms\.cryptoKeyEncrypterDecrypter") as using:
            ready_kms.encrypt(b"secret", b"")
        with pytest.raises(PermanentError, match=r"roles/cloudkms\.admin"):
            ready_kms.ensure_crypto_key()

    assert "gcloud kms keys add-iam-policy-binding api-key-encryption" in using.value.message
    assert "--keyring=convergence-keyring-dev" in using.value.message


def test_a_missing_key_says_so(kms: Kms) -> None:
    with pytest.raises(PermanentError) as caught:
        kms.encrypt(b"secret", b"")

    assert caught.value.code is ErrorCode.NOT_FOUND


def test_a_key_whose_primary_version_is_disabled_is_refused(ready_kms: Kms) -> None:
    version = kms_v1.CryptoKeyVersion(
        name=f"{ready_kms.crypto_key_name}/cryptoKeyVersions/1",
        state=kms_v1.CryptoKeyVersion.CryptoKeyVersionState.DISABLED,
    )
    ready_kms.client.update_crypto_key_version(crypto_key_version=version, update_mask={"paths": ["state"]})

    with pytest.raises(PermanentError, match="enabled primary version") as caught:
        ready_kms.ensure_crypto_key()

    assert caught.value.code is ErrorCode.FAILED_PRECONDITION


def test_the_link_leads_to_the_key(kms: Kms, settings: Settings) -> None:
    assert kms.console_url() == (
        "https://console.cloud.google.com/security/kms/key/manage/us-central1/convergence-keyring-dev/"
        f"api-key-encryption?project={settings.gcp_project_id}"
    )
