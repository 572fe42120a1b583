import re
from datetime import timedelta

import pytest
from google.api_core import exceptions
from google.cloud.kms_v1 import CryptoKey, CryptoKeyVersion, KeyRing, ProtectionLevel
from google.protobuf.field_mask_pb2 import FieldMask

from convergence_orchestration_tests.local_gcp.clouds import Cloud

_ENABLED = CryptoKeyVersion.CryptoKeyVersionState.ENABLED
_SYMMETRIC = CryptoKey.CryptoKeyPurpose.ENCRYPT_DECRYPT


def _ring(cloud: Cloud, ring_id: str = "ring") -> str:
    return cloud.kms.create_key_ring(parent=cloud.location, key_ring_id=ring_id, key_ring=KeyRing()).name


def _update(cloud: Cloud, name: str, mask: list[str], **fields: object) -> CryptoKey:
    return cloud.kms.update_crypto_key(
        crypto_key=CryptoKey({"name": name, **fields}), update_mask=FieldMask(paths=mask)
    )


def test_a_key_ring_is_created_once_and_found_again(cloud: Cloud) -> None:
    name = _ring(cloud)

    assert name == f"{cloud.location}/keyRings/ring"
    assert cloud.kms.get_key_ring(name=name).create_time == cloud.clock.now
    with pytest.raises(
        exceptions.AlreadyExists, match=re.escape(f"KeyRing {name} already exists")
    ) as refused:
        _ring(cloud)
    assert (refused.value.reason, refused.value.domain) == ("ALREADY_EXISTS", "cloudkms.googleapis.com")


def test_a_key_ring_that_is_not_there_is_not_found(cloud: Cloud) -> None:
    with pytest.raises(exceptions.NotFound):
        cloud.kms.get_key_ring(name=f"{cloud.location}/keyRings/ring")
    with pytest.raises(exceptions.NotFound):
        cloud.kms.create_crypto_key(
            parent=f"{cloud.location}/keyRings/ring", crypto_key_id="key", crypto_key=CryptoKey()
        )
    with pytest.raises(exceptions.NotFound):
        list(cloud.kms.list_crypto_keys(parent=f"{cloud.location}/keyRings/ring"))


def test_names_that_break_the_pattern_are_invalid(cloud: Cloud) -> None:
    with pytest.raises(exceptions.InvalidArgument, match="key_ring_id"):
        _ring(cloud, "no spaces")
    with pytest.raises(exceptions.InvalidArgument, match="parent"):
        cloud.kms.create_key_ring(parent="projects/only", key_ring_id="ring", key_ring=KeyRing())
    with pytest.raises(exceptions.InvalidArgument, match="name"):
        cloud.kms.get_key_ring(name=f"{cloud.location}/keyRings/ring/cryptoKeys/key")
    with pytest.raises(exceptions.InvalidArgument, match="crypto_key_id"):
        cloud.kms.create_crypto_key(parent=_ring(cloud), crypto_key_id="k" * 64, crypto_key=CryptoKey())


def test_key_rings_are_listed_by_location_in_pages(cloud: Cloud) -> None:
    names = [_ring(cloud, f"ring-{number}") for number in range(5)]

    pages = list(cloud.kms.list_key_rings(request={"parent": cloud.location, "page_size": 2}).pages)

    assert [[ring.name for ring in page.key_rings] for page in pages] == [names[:2], names[2:4], names[4:]]
    assert {page.total_size for page in pages} == {5}
    assert not list(cloud.kms.list_key_rings(parent=cloud.location.replace("us-central1", "global")))


def test_a_list_refuses_what_it_does_not_know(cloud: Cloud) -> None:
    with pytest.raises(exceptions.InvalidArgument, match="page_token"):
        cloud.kms.list_key_rings(request={"parent": cloud.location, "page_token": "bm8="})
    with pytest.raises(exceptions.InvalidArgument, match="page_token"):
        cloud.kms.list_key_rings(request={"parent": cloud.location, "page_token": "x"})
    with pytest.raises(exceptions.InvalidArgument, match="page_size"):
        cloud.kms.list_key_rings(request={"parent": cloud.location, "page_size": -1})
    with pytest.raises(exceptions.MethodNotImplemented, match="filter"):
        cloud.kms.list_key_rings(request={"parent": cloud.location, "filter": "name:ring"})
    with pytest.raises(exceptions.MethodNotImplemented, match="order_by"):
        cloud.kms.list_key_rings(request={"parent": cloud.location, "order_by": "name"})


def test_a_new_key_has_the_defaults_and_a_primary_version(cloud: Cloud) -> None:
    key = cloud.kms.get_crypto_key(name=cloud.key(labels={"team": "platform"}))

    assert key.primary.name == f"{key.name}/cryptoKeyVersions/1"
    assert key.primary.state == _ENABLED
    assert key.primary.protection_level == ProtectionLevel.SOFTWARE
    assert key.destroy_scheduled_duration == timedelta(days=30)
    assert dict(key.labels) == {"team": "platform"}
    assert "rotation_period" not in key
    assert key.create_time == cloud.clock.now


def test_a_key_that_exists_is_not_created_again(cloud: Cloud) -> None:
    ring = _ring(cloud)
    asked = {"parent": ring, "crypto_key_id": "key", "crypto_key": CryptoKey(purpose=_SYMMETRIC)}
    cloud.kms.create_crypto_key(request=asked)

    with pytest.raises(exceptions.AlreadyExists):
        cloud.kms.create_crypto_key(request=asked)
    assert [key.name for key in cloud.kms.list_crypto_keys(parent=ring)] == [f"{ring}/cryptoKeys/key"]


def test_a_key_without_a_first_version_has_no_primary_and_encrypts_nothing(cloud: Cloud) -> None:
    key = cloud.kms.create_crypto_key(
        request={
            "parent": _ring(cloud),
            "crypto_key_id": "key",
            "crypto_key": CryptoKey(purpose=_SYMMETRIC),
            "skip_initial_version_creation": True,
        }
    )

    assert "primary" not in key
    with pytest.raises(exceptions.FailedPrecondition, match="no primary version"):
        cloud.kms.encrypt(name=key.name, plaintext=b"text")


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"purpose": 0}, "purpose must be specified"),
        ({"version_template": {"algorithm": "RSA_SIGN_PSS_2048_SHA256"}}, "not valid for purpose"),
        ({"rotation_period": timedelta(days=1)}, "next_rotation_time must be set"),
        ({"rotation_period": timedelta(hours=23), "next_rotation_time": "2027-01-01T00:00:00Z"}, "24 hours"),
        ({"next_rotation_time": "2026-01-01T00:00:00Z"}, "in the future"),
        ({"destroy_scheduled_duration": timedelta(hours=1)}, "between 24 hours and 120 days"),
        ({"labels": {"Team": "platform"}}, "Label key"),
        ({"labels": {"": "platform"}}, "Label key"),
        ({"labels": {"team": "Platform"}}, "value of label"),
        ({"labels": {f"l{number}": "" for number in range(65)}}, "more than 64 labels"),
    ],
)
def test_a_key_that_may_not_be_is_invalid(cloud: Cloud, fields: dict[str, object], sentence: str) -> None:
    with pytest.raises(exceptions.InvalidArgument, match=sentence):
        cloud.key(**fields)


@pytest.mark.parametrize(
    "fields",
    [
        {"purpose": CryptoKey.CryptoKeyPurpose.ASYMMETRIC_SIGN},
        {"import_only": True},
        {"version_template": {"protection_level": ProtectionLevel.EXTERNAL}},
    ],
)
def test_what_only_the_real_service_can_do_is_unimplemented(cloud: Cloud, fields: dict[str, object]) -> None:
    with pytest.raises(exceptions.MethodNotImplemented, match="not served by the local cloud"):
        cloud.key(**fields)


def test_an_update_changes_what_its_mask_names_and_nothing_else(cloud: Cloud) -> None:
    name = cloud.key(labels={"team": "platform", "stage": "dev"})

    changed = _update(cloud, name, ["labels"], labels={"team": "other"}, rotation_period=timedelta(days=90))

    assert dict(changed.labels) == {"team": "other"}
    assert "rotation_period" not in changed
    assert changed.primary.state == _ENABLED
    assert cloud.kms.get_crypto_key(name=name) == changed


def test_an_update_that_may_not_be_changes_nothing(cloud: Cloud) -> None:
    name = cloud.key()
    before = cloud.kms.get_crypto_key(name=name)

    for mask, sentence in [
        ([], "at least one field"),
        (["purpose"], "update_mask names purpose"),
        (["rotation_period"], "next_rotation_time must be set"),
        (["next_rotation_time"], "in the future"),
    ]:
        with pytest.raises(exceptions.InvalidArgument, match=sentence):
            _update(
                cloud,
                name,
                mask,
                rotation_period=timedelta(days=90),
                next_rotation_time=cloud.clock.now - timedelta(days=1),
            )
    assert cloud.kms.get_crypto_key(name=name) == before


def test_a_key_rotates_by_itself_each_time_its_period_is_over(cloud: Cloud) -> None:
    first = cloud.clock.now + timedelta(days=90)
    name = cloud.key(rotation_period=timedelta(days=90), next_rotation_time=first)
    old = cloud.kms.encrypt(name=name, plaintext=b"sealed before")

    cloud.clock.now = first - timedelta(microseconds=1)
    assert cloud.kms.get_crypto_key(name=name).primary.name.endswith("/1")
    cloud.clock.now = first
    rotated = cloud.kms.get_crypto_key(name=name)
    assert rotated.primary.name.endswith("/2")
    assert rotated.primary.create_time == first
    assert rotated.next_rotation_time == first + timedelta(days=90)
    cloud.clock.advance(timedelta(days=181))
    assert cloud.kms.encrypt(name=name, plaintext=b"text").name.endswith("/4")

    opened = cloud.kms.decrypt(name=name, ciphertext=old.ciphertext)
    assert (opened.plaintext, opened.used_primary) == (b"sealed before", False)


def test_a_rotation_time_without_a_period_rotates_once(cloud: Cloud) -> None:
    name = cloud.key(next_rotation_time=cloud.clock.now + timedelta(days=1))

    cloud.clock.advance(timedelta(days=400))

    key = cloud.kms.get_crypto_key(name=name)
    assert key.primary.name.endswith("/2")
    assert "next_rotation_time" not in key


def test_a_rotation_schedule_taken_away_rotates_no_more(cloud: Cloud) -> None:
    rotation = {
        "rotation_period": timedelta(days=1),
        "next_rotation_time": cloud.clock.now + timedelta(days=1),
    }
    name = cloud.key(**rotation)

    _update(cloud, name, ["rotation_period", "next_rotation_time"])
    cloud.clock.advance(timedelta(days=10))

    assert cloud.kms.get_crypto_key(name=name).primary.name.endswith("/1")
