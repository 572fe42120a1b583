from collections.abc import Iterator

import google_crc32c
import pytest
from google.api_core import exceptions
from google.cloud.kms_v1 import CryptoKeyVersion, ProtectionLevel
from hypothesis import given
from hypothesis import strategies as st

from convergence_orchestration_tests.local_gcp.clouds import Cloud, running_cloud

_LIMIT = 64 * 1024


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Cloud, str]]:
    with running_cloud(tmp_path_factory.mktemp("cloud")) as cloud:
        yield cloud, cloud.key()


def _crc32c(content: bytes) -> int:
    return int(google_crc32c.value(content))


@given(plaintext=st.binary(max_size=2000), additional=st.binary(max_size=200))
def test_what_was_encrypted_is_decrypted_with_the_same_additional_data_only(
    shared: tuple[Cloud, str], plaintext: bytes, additional: bytes
) -> None:
    cloud, key = shared

    sealed = cloud.kms.encrypt(
        request={"name": key, "plaintext": plaintext, "additional_authenticated_data": additional}
    )
    asked = {"name": key, "ciphertext": sealed.ciphertext}
    opened = cloud.kms.decrypt(request={**asked, "additional_authenticated_data": additional})

    assert opened.plaintext == plaintext
    assert opened.plaintext_crc32c == _crc32c(plaintext)
    assert not plaintext or plaintext not in sealed.ciphertext or len(plaintext) < 8
    with pytest.raises(exceptions.InvalidArgument, match="Decryption failed"):
        cloud.kms.decrypt(request={**asked, "additional_authenticated_data": additional + b"!"})


@given(position=st.integers(min_value=0), bit=st.integers(min_value=0, max_value=7))
def test_a_ciphertext_with_one_bit_changed_is_refused(
    shared: tuple[Cloud, str], position: int, bit: int
) -> None:
    cloud, key = shared
    ciphertext = bytearray(cloud.kms.encrypt(name=key, plaintext=b"the same for all").ciphertext)
    ciphertext[position % len(ciphertext)] ^= 1 << bit

    with pytest.raises(exceptions.InvalidArgument, match="Decryption failed"):
        cloud.kms.decrypt(name=key, ciphertext=bytes(ciphertext))


def test_checksums_are_verified_and_answered(shared: tuple[Cloud, str]) -> None:
    cloud, key = shared

    sealed = cloud.kms.encrypt(
        request={
            "name": key,
            "plaintext": b"text",
            "plaintext_crc32c": _crc32c(b"text"),
            "additional_authenticated_data": b"tenant",
            "additional_authenticated_data_crc32c": _crc32c(b"tenant"),
        }
    )

    assert sealed.verified_plaintext_crc32c
    assert sealed.verified_additional_authenticated_data_crc32c
    assert sealed.ciphertext_crc32c == _crc32c(sealed.ciphertext)
    assert sealed.name == f"{key}/cryptoKeyVersions/1"
    assert sealed.protection_level == ProtectionLevel.SOFTWARE
    opened = cloud.kms.decrypt(
        request={
            "name": key,
            "ciphertext": sealed.ciphertext,
            "ciphertext_crc32c": _crc32c(sealed.ciphertext),
            "additional_authenticated_data": b"tenant",
            "additional_authenticated_data_crc32c": _crc32c(b"tenant"),
        }
    )
    assert opened.used_primary
    assert opened.protection_level == ProtectionLevel.SOFTWARE


def test_without_checksums_nothing_is_said_to_be_verified(shared: tuple[Cloud, str]) -> None:
    cloud, key = shared

    sealed = cloud.kms.encrypt(name=key, plaintext=b"text")

    assert not sealed.verified_plaintext_crc32c
    assert not sealed.verified_additional_authenticated_data_crc32c


@pytest.mark.parametrize("field", ["plaintext", "additional_authenticated_data"])
def test_a_wrong_checksum_is_refused(shared: tuple[Cloud, str], field: str) -> None:
    cloud, key = shared
    asked = {"name": key, "plaintext": b"text", "additional_authenticated_data": b"text"}

    with pytest.raises(exceptions.InvalidArgument, match=f"checksum in field {field}_crc32c did not match"):
        cloud.kms.encrypt(request={**asked, f"{field}_crc32c": 1})
    with pytest.raises(exceptions.InvalidArgument, match="checksum in field ciphertext_crc32c did not match"):
        cloud.kms.decrypt(request={"name": key, "ciphertext": b"text", "ciphertext_crc32c": 1})


def test_sixty_four_kibibytes_are_allowed_and_not_one_byte_more(shared: tuple[Cloud, str]) -> None:
    cloud, key = shared
    largest = {"name": key, "plaintext": b"p" * _LIMIT, "additional_authenticated_data": b"a" * _LIMIT}

    sealed = cloud.kms.encrypt(request=largest)

    opened = cloud.kms.decrypt(
        request={
            "name": key,
            "ciphertext": sealed.ciphertext,
            "additional_authenticated_data": largest["additional_authenticated_data"],
        }
    )
    assert opened.plaintext == largest["plaintext"]
    for field in ("plaintext", "additional_authenticated_data"):
        with pytest.raises(exceptions.InvalidArgument, match=f"{field} has 65537 bytes"):
            cloud.kms.encrypt(request={"name": key, field: b"x" * (_LIMIT + 1)})


def test_a_version_can_be_named_to_encrypt_but_not_to_decrypt(shared: tuple[Cloud, str]) -> None:
    cloud, _ = shared
    key = cloud.key()
    version = cloud.kms.create_crypto_key_version(parent=key, crypto_key_version=CryptoKeyVersion())

    sealed = cloud.kms.encrypt(name=version.name, plaintext=b"text")

    assert sealed.name == version.name
    assert not cloud.kms.decrypt(name=key, ciphertext=sealed.ciphertext).used_primary
    with pytest.raises(exceptions.InvalidArgument, match="name"):
        cloud.kms.decrypt(name=version.name, ciphertext=sealed.ciphertext)


def test_a_ciphertext_of_another_key_is_refused(shared: tuple[Cloud, str]) -> None:
    cloud, key = shared
    sealed = cloud.kms.encrypt(name=cloud.key(), plaintext=b"text")

    with pytest.raises(exceptions.InvalidArgument, match="refers to the correct CryptoKey"):
        cloud.kms.decrypt(name=key, ciphertext=sealed.ciphertext)
    with pytest.raises(exceptions.InvalidArgument, match="ciphertext is invalid"):
        cloud.kms.decrypt(name=key, ciphertext=b"no ciphertext")


def test_a_key_that_is_not_there_encrypts_and_decrypts_nothing(shared: tuple[Cloud, str]) -> None:
    cloud, key = shared

    with pytest.raises(exceptions.NotFound):
        cloud.kms.encrypt(name=f"{key}2", plaintext=b"text")
    with pytest.raises(exceptions.NotFound):
        cloud.kms.decrypt(name=f"{key}2", ciphertext=b"text")
    with pytest.raises(exceptions.NotFound):
        cloud.kms.encrypt(name=f"{key}/cryptoKeyVersions/9", plaintext=b"text")
