from datetime import UTC, datetime

import pytest
from google.api_core import exceptions
from google.cloud import secretmanager_v1

from convergence_orchestration.local_gcp.conditions import holds
from convergence_orchestration.local_gcp.enforcement import caller_of
from convergence_orchestration_tests.local_gcp.clouds import Cloud

NOW = datetime(2026, 11, 23, tzinfo=UTC)
API = "api@platform.iam.gserviceaccount.com"
SEALER = "roles/cloudkms.cryptoKeyEncrypterDecrypter"
USE = "cloudkms.cryptoKeyVersions.useToEncrypt"
TOKEN = [("authorization", f"Bearer local-cloud/{API}")]


def bind(client: object, resource: str, role: str, **condition: str) -> None:
    binding: dict[str, object] = {"role": role, "members": [f"serviceAccount:{API}"]}
    if condition:
        binding["condition"] = condition
    policy = {"version": 3, "bindings": [binding]}
    client.set_iam_policy(request={"resource": resource, "policy": policy})  # type: ignore[attr-defined]


def encrypt(cloud: Cloud, key: str) -> object:
    return cloud.kms.encrypt(name=key, plaintext=b"x", metadata=TOKEN, retry=None)


def test_a_service_account_is_refused_in_googles_words_until_a_role_is_granted(cloud: Cloud) -> None:
    key = cloud.key()

    with pytest.raises(exceptions.PermissionDenied) as refused:
        encrypt(cloud, key)
    bind(cloud.kms, key, SEALER)

    assert f"Permission '{USE}' denied on resource '{key}' (or it may not exist)." in str(refused.value)
    assert encrypt(cloud, key)


@pytest.mark.parametrize(
    "role", ["roles/cloudkms.admin", "roles/cloudkms.cryptoKeyDecrypter", "roles/unheard.of"]
)
def test_a_role_that_does_not_hold_the_permission_grants_nothing(cloud: Cloud, role: str) -> None:
    key = cloud.key()
    bind(cloud.kms, key, role)

    with pytest.raises(exceptions.PermissionDenied):
        encrypt(cloud, key)


def test_a_role_on_the_key_ring_counts_for_the_keys_in_it(cloud: Cloud) -> None:
    key = cloud.key()
    bind(cloud.kms, key.rsplit("/", 2)[0], SEALER)

    assert encrypt(cloud, key)


def test_a_condition_that_does_not_hold_grants_nothing(cloud: Cloud) -> None:
    key = cloud.key()
    bind(cloud.kms, key, SEALER, title="over", expression='request.time < timestamp("2020-01-01T00:00:00Z")')
    with pytest.raises(exceptions.PermissionDenied):
        encrypt(cloud, key)

    bind(cloud.kms, key, SEALER, title="named", expression=f'resource.name.startsWith("{key}")')
    assert encrypt(cloud, key)


def test_a_method_without_a_known_permission_is_the_owners_alone(cloud: Cloud) -> None:
    with pytest.raises(exceptions.PermissionDenied):
        cloud.secrets.list_secrets(parent=f"projects/{cloud.project}", metadata=TOKEN)
    assert not list(cloud.secrets.list_secrets(parent=f"projects/{cloud.project}"))


def test_who_may_read_a_secret_may_not_list_its_versions(cloud: Cloud) -> None:
    secret = cloud.secret()
    cloud.secrets.add_secret_version(parent=secret, payload=secretmanager_v1.SecretPayload(data=b"x"))
    bind(cloud.secrets, secret, "roles/secretmanager.secretAccessor")

    read = cloud.secrets.access_secret_version(name=f"{secret}/versions/latest", metadata=TOKEN)

    assert read.payload.data == b"x"
    with pytest.raises(exceptions.PermissionDenied, match="denied for resource"):
        cloud.secrets.list_secret_versions(parent=secret, metadata=TOKEN)


def test_asking_for_permissions_answers_those_that_the_caller_has(cloud: Cloud) -> None:
    key = cloud.key()
    bind(cloud.kms, key, "roles/cloudkms.cryptoKeyEncrypter")
    request = {"resource": key, "permissions": [USE, "cloudkms.cryptoKeyVersions.useToDecrypt"]}

    assert cloud.kms.test_iam_permissions(request=request, metadata=TOKEN).permissions == [USE]


@pytest.mark.parametrize(
    "header",
    ["", "Bearer ya29.something", "Bearer local-cloud/", "Bearer local-cloud/a b@c", "local-cloud/a@b"],
)
def test_any_other_header_is_the_owners(header: str) -> None:
    assert caller_of(header) is None


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ('resource.name == "a/b"', True),
        ('resource.name == "a/c"', False),
        ('resource.name.startsWith("a/") && request.time >= timestamp("2026-01-01T00:00:00Z")', True),
        ('resource.name.startsWith("a/") && request.time > timestamp("2027-01-01T00:00:00Z")', False),
        ('request.time <= timestamp("2027-01-01T00:00:00Z")', True),
        ('request.time < timestamp("2027-01-01T00:00:00")', False),
        ('request.time < timestamp("soon")', False),
        ('resource.name == "a/b" || true', False),
        ("true", False),
        ("", False),
    ],
)
def test_a_condition_holds_in_the_forms_that_are_known_and_in_no_other(
    expression: str, *, expected: bool
) -> None:
    assert holds(expression, "a/b", NOW) is expected


def test_secrets_are_listed_by_name_and_label_and_no_other_filter(cloud: Cloud) -> None:
    parent = f"projects/{cloud.project}"
    for name, labels in (("key-a", {"owner": "ann"}), ("key-b", {"owner": "bob"}), ("other", {})):
        secret = secretmanager_v1.Secret(replication={"automatic": {}}, labels=labels)
        cloud.secrets.create_secret(parent=parent, secret_id=name, secret=secret)

    def listed(text: str) -> list[str]:
        found = cloud.secrets.list_secrets(request={"parent": parent, "filter": text, "page_size": 1})
        return [secret.name.rpartition("/")[2] for secret in found]

    assert listed("name:key-") == ["key-b", "key-a"]
    assert listed("labels.owner:*") == ["key-b", "key-a"]
    assert listed("name:key- AND labels.owner=ann") == ["key-a"]
    assert listed("name:nothing") == []
    with pytest.raises(exceptions.MethodNotImplemented):
        listed("createTime>2020")
