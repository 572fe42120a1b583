from dataclasses import replace

import pytest

from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.gcp.kms import Kms
from convergence_orchestration.keys.sealing import Place, resealed, seal, unseal
from convergence_orchestration.keys.shredding import decrypted, encrypted
from convergence_orchestration.keys.token import generate_tenant_key
from convergence_orchestration.settings import Environment
from convergence_orchestration.tenancy.model import TenantId
from convergence_orchestration_tests.keys.builders import ACME, DEVELOPMENT, key_id

KEY = generate_tenant_key(DEVELOPMENT)
UNDER = bytes(range(32))
OWN = Place(ACME, key_id(1), DEVELOPMENT)


def test_a_sealed_key_opens_for_its_tenant_key_id_and_environment(kms: Kms) -> None:
    sealed = seal(kms, UNDER, KEY, OWN)
    assert KEY.get_secret_value().encode() not in sealed.ciphertext
    assert sealed.key_version.endswith("/cryptoKeyVersions/1")
    assert unseal(kms, UNDER, sealed.ciphertext, OWN) == KEY


@pytest.mark.parametrize(
    "other",
    [
        replace(OWN, tenant_id=TenantId("globex")),
        replace(OWN, key_id=key_id(2)),
        replace(OWN, environment=Environment.STAGING),
    ],
    ids=["tenant", "key id", "environment"],
)
def test_it_opens_for_nothing_else(kms: Kms, other: Place) -> None:
    sealed = seal(kms, UNDER, KEY, OWN)
    with pytest.raises(PermanentError) as raised:
        unseal(kms, UNDER, sealed.ciphertext, other)
    assert raised.value.code is ErrorCode.INVALID_ARGUMENT


def test_a_changed_ciphertext_does_not_open(kms: Kms) -> None:
    ciphertext = bytearray(seal(kms, UNDER, KEY, OWN).ciphertext)
    ciphertext[-1] ^= 1
    with pytest.raises(PermanentError) as raised:
        unseal(kms, UNDER, bytes(ciphertext), OWN)
    assert raised.value.code is ErrorCode.INVALID_ARGUMENT
    assert KEY.get_secret_value() not in str(raised.value)


def test_what_kms_opens_is_not_the_key(kms: Kms) -> None:
    inner = kms.decrypt(seal(kms, UNDER, KEY, OWN).ciphertext, OWN.aad)
    assert KEY.get_secret_value().encode() not in inner
    assert decrypted(UNDER, inner, OWN.aad).decode() == KEY.get_secret_value()


@pytest.mark.parametrize(
    ("under", "inner", "aad"),
    [
        (bytes(32), encrypted(UNDER, b"key", b"place"), b"place"),
        (UNDER, encrypted(UNDER, b"key", b"place"), b"another"),
        (UNDER, encrypted(UNDER, b"key", b"place")[:-1], b"place"),
        (UNDER, b"", b"place"),
        (b"not 32 bytes", encrypted(UNDER, b"key", b"place"), b"place"),
    ],
    ids=["other bytes", "other place", "cut off", "empty", "no key at all"],
)
def test_the_inner_layer_opens_with_its_own_bytes_and_place_alone(
    under: bytes, inner: bytes, aad: bytes
) -> None:
    with pytest.raises(PermanentError, match="cannot be opened") as raised:
        decrypted(under, inner, aad)
    assert raised.value.code is ErrorCode.INVALID_ARGUMENT


def test_a_copy_is_sealed_anew_without_its_key_being_seen(kms: Kms) -> None:
    again = resealed(kms, seal(kms, UNDER, KEY, OWN).ciphertext, OWN)
    assert unseal(kms, UNDER, again.ciphertext, OWN) == KEY


def test_what_a_key_is_bound_to_is_its_tenant_its_id_and_its_environment() -> None:
    assert OWN.aad == b"acme|key_00000000000000000001|development"
