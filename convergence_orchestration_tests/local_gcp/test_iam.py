import pytest
from google.api_core import exceptions
from google.iam.v1 import policy_pb2

from convergence_orchestration_tests.local_gcp.clouds import Cloud

_ROLE = "roles/cloudkms.cryptoKeyEncrypterDecrypter"
_MEMBER = "serviceAccount:api@platform.iam.gserviceaccount.com"


def _policy(role: str = _ROLE, member: str = _MEMBER, **fields: object) -> policy_pb2.Policy:
    return policy_pb2.Policy(bindings=[policy_pb2.Binding(role=role, members=[member])], **fields)


def test_a_resource_whose_policy_was_never_set_has_an_empty_one_with_an_etag(cloud: Cloud) -> None:
    key = cloud.key()

    policy = cloud.kms.get_iam_policy(request={"resource": key})

    assert not policy.bindings
    assert policy.etag == b"\x00\x20\x01"


def test_a_policy_is_kept_for_a_key_ring_a_key_and_a_secret(cloud: Cloud) -> None:
    key, secret = cloud.key(), cloud.secret()
    ring = key.rsplit("/", 2)[0]

    for client, resource in ((cloud.kms, key), (cloud.kms, ring), (cloud.secrets, secret)):
        asked = {"resource": resource}
        answered = client.set_iam_policy(request={**asked, "policy": _policy()})
        assert answered.bindings[0].members == [_MEMBER]
        assert client.get_iam_policy(request=asked) == answered


def test_read_modify_write_with_an_old_etag_is_aborted(cloud: Cloud) -> None:
    secret = cloud.secret()
    read = cloud.secrets.get_iam_policy(request={"resource": secret})
    first = cloud.secrets.set_iam_policy(request={"resource": secret, "policy": _policy(etag=read.etag)})

    with pytest.raises(exceptions.Aborted, match="concurrent policy changes"):
        cloud.secrets.set_iam_policy(request={"resource": secret, "policy": _policy(etag=read.etag)})

    assert cloud.secrets.get_iam_policy(request={"resource": secret}) == first
    without = cloud.secrets.set_iam_policy(request={"resource": secret, "policy": policy_pb2.Policy()})
    assert without.etag != first.etag
    assert not without.bindings


@pytest.mark.parametrize(
    ("policy", "sentence"),
    [
        (_policy(role="owner"), "Role owner is not supported"),
        (_policy(member="somebody"), "member somebody is of an unknown type"),
        (_policy(member="user:nobody"), "member user:nobody"),
        (_policy(version=2), "version 2"),
        (
            policy_pb2.Policy(
                bindings=[{"role": _ROLE, "members": [_MEMBER], "condition": {"expression": "true"}}]
            ),
            "must have version 3",
        ),
    ],
)
def test_a_policy_that_may_not_be_is_invalid(cloud: Cloud, policy: policy_pb2.Policy, sentence: str) -> None:
    with pytest.raises(exceptions.InvalidArgument, match=sentence):
        cloud.kms.set_iam_policy(request={"resource": cloud.key(), "policy": policy})


def test_nobody_lacks_a_permission_but_it_must_be_one(cloud: Cloud) -> None:
    key = cloud.key()
    permission = "cloudkms.cryptoKeyVersions.useToEncrypt"

    answer = cloud.kms.test_iam_permissions(request={"resource": key, "permissions": [permission]})

    assert answer.permissions == [permission]
    with pytest.raises(exceptions.InvalidArgument, match="Permission encrypt is not valid"):
        cloud.kms.test_iam_permissions(request={"resource": key, "permissions": ["encrypt"]})


def test_only_resources_that_are_there_and_can_hold_a_policy_have_one(cloud: Cloud) -> None:
    key = cloud.key()

    for resource in (
        f"{key}2",
        f"{cloud.location}/keyRings/none",
        f"{cloud.location}/keyRings/no/cryptoKeys/no",
    ):
        with pytest.raises(exceptions.NotFound):
            cloud.kms.get_iam_policy(request={"resource": resource})
    with pytest.raises(exceptions.InvalidArgument, match="neither a KeyRing nor a CryptoKey"):
        cloud.kms.get_iam_policy(request={"resource": f"{key}/cryptoKeyVersions/1"})
    with pytest.raises(exceptions.NotFound):
        cloud.secrets.get_iam_policy(request={"resource": f"projects/{cloud.project}/secrets/none"})


def test_a_deleted_secret_takes_its_policy_along(cloud: Cloud) -> None:
    secret = cloud.secret()
    cloud.secrets.set_iam_policy(request={"resource": secret, "policy": _policy()})

    cloud.secrets.delete_secret(name=secret)

    assert not cloud.secrets.get_iam_policy(request={"resource": cloud.secret()}).bindings
