from collections.abc import Iterator

import pytest
from google.iam.v1.policy_pb2 import Binding, Policy
from google.type.expr_pb2 import Expr

from convergence_orchestration.errors import ErrorCode, PermanentError, TransientError
from convergence_orchestration.gcp.clients import kms_client
from convergence_orchestration.gcp.kms import Kms
from convergence_orchestration.gcp.policies import with_member
from convergence_orchestration.settings import Settings
from convergence_orchestration_tests.emulators import Emulator
from convergence_orchestration_tests.gcp.faults import faults

ROLE = "roles/cloudkms.cryptoKeyEncrypterDecrypter"
API = "serviceAccount:api@acme.iam.gserviceaccount.com"
ANN = "user:ann@acme.example"
GRANT = "gcloud kms keys add-iam-policy-binding ..."
SET = "google.iam.v1.IAMPolicy/SetIamPolicy"
SOON = Expr(title="until", expression='request.time < timestamp("2030-01-01T00:00:00Z")')


@pytest.fixture
def kms(settings: Settings) -> Iterator[Kms]:
    client = kms_client(settings)
    one = Kms(client, settings.crypto_key_name)
    one.ensure_key_ring()
    one.ensure_crypto_key()
    yield one
    client.transport.close()  # type: ignore[no-untyped-call]


def policy_of(kms: Kms) -> Policy:
    request = {"resource": kms.crypto_key_name, "options": {"requested_policy_version": 3}}
    return kms.client.get_iam_policy(request=request)


def ensure(kms: Kms) -> bool:
    return kms.policies.ensure_binding(kms.crypto_key_name, ROLE, API, GRANT)


def test_a_member_joins_the_binding_of_the_role_and_all_else_stays() -> None:
    others = [Binding(role=ROLE, members=[ANN]), Binding(role="roles/viewer", members=[ANN], condition=SOON)]
    policy = Policy(version=1, etag=b"etag", bindings=others)

    wanted = with_member(policy, ROLE, API)

    assert (wanted.version, wanted.etag) == (3, b"etag")
    assert list(wanted.bindings) == [Binding(role=ROLE, members=[ANN, API]), others[1]]
    assert list(policy.bindings) == others


def test_a_member_who_has_the_role_changes_nothing() -> None:
    assert with_member(Policy(bindings=[Binding(role=ROLE, members=[ANN, API])]), ROLE, API) is None


def test_a_binding_with_a_condition_is_another_binding_and_kept() -> None:
    conditional = Binding(role=ROLE, members=[API], condition=SOON)

    wanted = with_member(Policy(bindings=[conditional]), ROLE, API)

    assert list(wanted.bindings) == [conditional, Binding(role=ROLE, members=[API])]


def test_a_binding_is_added_once_beside_what_others_have_set(kms: Kms) -> None:
    theirs = Policy(version=3, bindings=[Binding(role=ROLE, members=[ANN], condition=SOON)])
    kms.client.set_iam_policy(request={"resource": kms.crypto_key_name, "policy": theirs})

    assert not kms.policies.has_binding(kms.crypto_key_name, ROLE, API)
    assert [ensure(kms), ensure(kms)] == [True, False]

    assert list(policy_of(kms).bindings) == [*theirs.bindings, Binding(role=ROLE, members=[API])]
    assert kms.policies.has_binding(kms.crypto_key_name, ROLE, API)


def test_a_lost_race_is_read_again(kms: Kms, local_gcp: Emulator) -> None:
    with faults(local_gcp, {"method": SET, "code": "ABORTED", "times": 2}):
        assert ensure(kms)
    assert list(policy_of(kms).bindings) == [Binding(role=ROLE, members=[API])]


def test_races_without_end_are_given_up(kms: Kms, local_gcp: Emulator) -> None:
    with faults(local_gcp, {"method": SET, "code": "ABORTED"}), pytest.raises(TransientError) as given_up:
        ensure(kms)
    assert "changed by somebody else 5 times" in given_up.value.message


def test_whoever_may_not_grant_is_told_what_a_person_can_type(kms: Kms, local_gcp: Emulator) -> None:
    with (
        faults(local_gcp, {"method": SET, "code": "PERMISSION_DENIED"}),
        pytest.raises(PermanentError, match=GRANT) as refused,
    ):
        ensure(kms)
    assert refused.value.code is ErrorCode.PERMISSION_DENIED
