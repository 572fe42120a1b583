import pytest

from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.gcp.clients import kms_client
from convergence_orchestration.gcp.kms import Kms
from convergence_orchestration.settings import Settings
from convergence_orchestration.warehouse.bootstrap import Action
from convergence_orchestration.warehouse.environment import prepare_key, prepare_key_ring
from convergence_orchestration_tests.emulators import Emulator
from convergence_orchestration_tests.gcp.faults import faults

MAY_NOT_LOOK = {"method": "google.cloud.kms.v1.KeyManagementService/Get*", "code": "PERMISSION_DENIED"}
MAY_NOT_ENCRYPT = {"method": "*/Encrypt", "code": "PERMISSION_DENIED"}


@pytest.fixture
def kms(settings: Settings) -> Kms:
    return Kms(kms_client(settings), settings.crypto_key_name)


def test_ring_and_key_are_made_once_and_tried(kms: Kms) -> None:
    made = (prepare_key_ring(kms).action, prepare_key(kms).action)
    found = (prepare_key_ring(kms).action, prepare_key(kms).action)

    assert made == (Action.CREATED, Action.CREATED)
    assert found == (Action.EXISTED, Action.EXISTED)
    assert kms.works()


def test_an_account_that_may_only_encrypt_uses_the_key_that_people_made(
    kms: Kms, local_gcp: Emulator
) -> None:
    prepare_key_ring(kms)
    prepare_key(kms)

    with faults(local_gcp, MAY_NOT_LOOK):
        prepared = prepare_key_ring(kms), prepare_key(kms)

    assert {each.action for each in prepared} == {Action.EXISTED}
    assert "may not look" in prepared[0].note


def test_an_account_that_may_do_neither_is_told_which_role_is_missing(kms: Kms, local_gcp: Emulator) -> None:
    prepare_key_ring(kms)
    prepare_key(kms)

    with faults(local_gcp, MAY_NOT_LOOK, MAY_NOT_ENCRYPT):
        for prepare in (prepare_key_ring, prepare_key):
            with pytest.raises(PermanentError, match=r"roles/cloudkms\.admin") as caught:
                prepare(kms)
            assert caught.value.code is ErrorCode.PERMISSION_DENIED


def test_a_key_that_exists_and_may_not_be_used_names_the_role_for_using_it(
    kms: Kms, local_gcp: Emulator
) -> None:
    prepare_key_ring(kms)

    with (
        faults(local_gcp, MAY_NOT_ENCRYPT),
        pytest.raises(PermanentError, match="cryptoKeyEncrypterDecrypter"),
    ):
        prepare_key(kms)
