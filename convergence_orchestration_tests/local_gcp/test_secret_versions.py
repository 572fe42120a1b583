from datetime import timedelta

import google_crc32c
import pytest
from google.api_core import exceptions
from google.cloud.secretmanager_v1 import Secret, SecretPayload, SecretVersion
from google.protobuf.field_mask_pb2 import FieldMask

from convergence_orchestration_tests.local_gcp.clouds import Cloud

State = SecretVersion.State


def _payload(cloud: Cloud, name: str) -> bytes:
    return cloud.secrets.access_secret_version(name=name).payload.data


def test_a_version_is_added_and_read_with_its_checksum(cloud: Cloud) -> None:
    secret = cloud.secret()
    checksum = google_crc32c.value(b"the key")

    version = cloud.secrets.add_secret_version(
        parent=secret, payload=SecretPayload(data=b"the key", data_crc32c=checksum)
    )

    assert version.name == f"{secret}/versions/1"
    assert version.state == State.ENABLED
    assert version.create_time == cloud.clock.now
    assert version.client_specified_payload_checksum
    assert "automatic" in version.replication_status
    read = cloud.secrets.access_secret_version(name=version.name)
    assert (read.name, read.payload.data, read.payload.data_crc32c) == (version.name, b"the key", checksum)


def test_without_a_checksum_none_is_said_to_have_come(cloud: Cloud) -> None:
    secret = cloud.secret(replication={"user_managed": {"replicas": [{"location": "us-east1"}]}})

    version = cloud.secrets.get_secret_version(name=cloud.add(secret))

    assert not version.client_specified_payload_checksum
    assert version.replication_status.user_managed.replicas[0].location == "us-east1"


def test_payloads_that_may_not_be_are_invalid(cloud: Cloud) -> None:
    secret = cloud.secret()

    with pytest.raises(exceptions.InvalidArgument, match="cannot be empty"):
        cloud.add(secret, b"")
    with pytest.raises(exceptions.InvalidArgument, match="65537 bytes"):
        cloud.add(secret, b"x" * 65537)
    with pytest.raises(exceptions.InvalidArgument, match="checksum"):
        cloud.secrets.add_secret_version(parent=secret, payload=SecretPayload(data=b"the key", data_crc32c=1))
    assert not list(cloud.secrets.list_secret_versions(parent=secret))
    assert _payload(cloud, cloud.add(secret, b"x" * 65536)) == b"x" * 65536


def test_latest_is_the_newest_version_even_when_it_is_disabled(cloud: Cloud) -> None:
    secret = cloud.secret()
    cloud.add(secret, b"first")
    newest = cloud.add(secret, b"second")

    assert cloud.secrets.access_secret_version(name=f"{secret}/versions/latest").name == newest
    cloud.secrets.disable_secret_version(name=f"{secret}/versions/latest")
    with pytest.raises(exceptions.FailedPrecondition, match="is in DISABLED state"):
        _payload(cloud, f"{secret}/versions/latest")
    assert _payload(cloud, f"{secret}/versions/1") == b"first"


def test_versions_that_are_not_there_are_not_found(cloud: Cloud) -> None:
    secret = cloud.secret()

    for version in ("latest", "1", "current"):
        with pytest.raises(exceptions.NotFound):
            _payload(cloud, f"{secret}/versions/{version}")
    with pytest.raises(exceptions.NotFound):
        cloud.add(f"{secret}2")
    with pytest.raises(exceptions.NotFound):
        list(cloud.secrets.list_secret_versions(parent=f"{secret}2"))


def test_a_version_is_read_by_its_alias_and_changed_by_its_number(cloud: Cloud) -> None:
    secret = cloud.secret()
    cloud.add(secret, b"first")
    cloud.add(secret, b"second")

    cloud.secrets.update_secret(
        secret=Secret(name=secret, version_aliases={"current": 1}),
        update_mask=FieldMask(paths=["version_aliases"]),
    )

    assert _payload(cloud, f"{secret}/versions/current") == b"first"
    assert cloud.secrets.get_secret_version(name=f"{secret}/versions/current").name.endswith("/1")
    with pytest.raises(exceptions.NotFound):
        cloud.secrets.disable_secret_version(name=f"{secret}/versions/current")


def test_a_disabled_version_can_be_enabled_and_a_destroyed_one_never(cloud: Cloud) -> None:
    name = cloud.add(cloud.secret(), b"the key")

    assert cloud.secrets.disable_secret_version(name=name).state == State.DISABLED
    assert cloud.secrets.enable_secret_version(name=name).state == State.ENABLED
    assert _payload(cloud, name) == b"the key"
    destroyed = cloud.secrets.destroy_secret_version(name=name)
    assert destroyed.state == State.DESTROYED
    assert destroyed.destroy_time == cloud.clock.now
    for call in (
        cloud.secrets.access_secret_version,
        cloud.secrets.enable_secret_version,
        cloud.secrets.disable_secret_version,
        cloud.secrets.destroy_secret_version,
    ):
        with pytest.raises(exceptions.FailedPrecondition, match="is in DESTROYED state"):
            call(name=name)


def test_every_change_of_a_version_changes_its_etag_and_an_old_etag_is_refused(cloud: Cloud) -> None:
    name = cloud.add(cloud.secret())
    old = cloud.secrets.get_secret_version(name=name).etag

    again = cloud.secrets.enable_secret_version(request={"name": name, "etag": old})

    assert again.etag != old
    for call in (cloud.secrets.disable_secret_version, cloud.secrets.destroy_secret_version):
        with pytest.raises(exceptions.FailedPrecondition, match="etag"):
            call(request={"name": name, "etag": old})
    assert (
        cloud.secrets.disable_secret_version(request={"name": name, "etag": again.etag}).state
        == State.DISABLED
    )


def test_versions_are_listed_the_newest_first_with_the_destroyed_ones(cloud: Cloud) -> None:
    secret = cloud.secret()
    names = [cloud.add(secret) for _ in range(12)]
    cloud.secrets.destroy_secret_version(name=names[3])

    found = list(cloud.secrets.list_secret_versions(request={"parent": secret, "page_size": 5}))

    assert [version.name for version in found] == names[::-1]
    assert found[8].state == State.DESTROYED


def test_with_a_waiting_time_a_destroyed_version_is_disabled_first_and_can_be_saved(cloud: Cloud) -> None:
    secret = cloud.secret(version_destroy_ttl=timedelta(days=2))
    lost, saved = cloud.add(secret, b"lost"), cloud.add(secret, b"saved")

    for name in (lost, saved):
        waiting = cloud.secrets.destroy_secret_version(name=name)
        assert waiting.state == State.DISABLED
        assert waiting.scheduled_destroy_time == cloud.clock.now + timedelta(days=2)
    assert "scheduled_destroy_time" not in cloud.secrets.enable_secret_version(name=saved)
    cloud.clock.advance(timedelta(days=2))

    assert cloud.secrets.get_secret_version(name=lost).state == State.DESTROYED
    assert _payload(cloud, saved) == b"saved"
