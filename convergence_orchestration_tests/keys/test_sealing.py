from dataclasses import replace

import pytest

from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.gcp.kms import Kms
from convergence_orchestration.keys.issuing import NewKey
from convergence_orchestration.keys.sealing import bound_to, seal, unseal
from convergence_orchestration.keys.token import generate_tenant_key
from convergence_orchestration.settings import Environment
from convergence_orchestration.tenancy.model import TenantId
from convergence_orchestration_tests.keys.builders import ACME, DEVELOPMENT, key_id, new_key

KEY = generate_tenant_key(DEVELOPMENT)
OWN = new_key(key_id(1), ACME)


def test_a_sealed_key_opens_for_its_tenant_key_id_and_environment(kms: Kms) -> None:
    sealed = seal(kms, KEY, ACME, key_id(), DEVELOPMENT)
    assert KEY.get_secret_value().encode() not in sealed.ciphertext
    assert sealed.key_version.endswith("/cryptoKeyVersions/1")
    assert unseal(kms, sealed.ciphertext, ACME, key_id(), DEVELOPMENT) == KEY


@pytest.mark.parametrize(
    "other",
    [
        replace(OWN, tenant_id=TenantId("globex")),
        replace(OWN, key_id=key_id(2)),
        replace(OWN, environment=Environment.STAGING),
    ],
    ids=["tenant", "key id", "environment"],
)
def test_it_opens_for_nothing_else(kms: Kms, other: NewKey) -> None:
    sealed = seal(kms, KEY, OWN.tenant_id, OWN.key_id, OWN.environment)
    with pytest.raises(PermanentError) as raised:
        unseal(kms, sealed.ciphertext, other.tenant_id, other.key_id, other.environment)
    assert raised.value.code is ErrorCode.INVALID_ARGUMENT


def test_a_changed_ciphertext_does_not_open(kms: Kms) -> None:
    ciphertext = bytearray(seal(kms, KEY, ACME, key_id(), DEVELOPMENT).ciphertext)
    ciphertext[-1] ^= 1
    with pytest.raises(PermanentError) as raised:
        unseal(kms, bytes(ciphertext), ACME, key_id(), DEVELOPMENT)
    assert raised.value.code is ErrorCode.INVALID_ARGUMENT
    assert KEY.get_secret_value() not in str(raised.value)


def test_what_a_key_is_bound_to_is_its_tenant_its_id_and_its_environment() -> None:
    assert bound_to(ACME, key_id(), DEVELOPMENT) == b"acme|key_00000000000000000001|development"
