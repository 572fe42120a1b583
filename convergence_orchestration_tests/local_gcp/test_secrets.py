import re
from datetime import timedelta
from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud.secretmanager_v1 import Secret
from google.protobuf.field_mask_pb2 import FieldMask

from convergence_orchestration_tests.local_gcp.clouds import Cloud

_TOPICS = [{"name": "projects/platform/topics/rotations"}]


def _update(cloud: Cloud, name: str, mask: list[str], **fields: object) -> Secret:
    return cloud.secrets.update_secret(
        secret=Secret({"name": name, **fields}), update_mask=FieldMask(paths=mask)
    )


def test_a_secret_is_created_once_and_found_again_as_it_was_asked_for(cloud: Cloud) -> None:
    name = cloud.secret(labels={"team": "platform"}, annotations={"owner.name": "Ada"}, topics=_TOPICS)

    secret = cloud.secrets.get_secret(name=name)
    assert name == f"projects/{cloud.project}/secrets/admin-api-key"
    assert secret.create_time == cloud.clock.now
    assert dict(secret.labels) == {"team": "platform"}
    assert dict(secret.annotations) == {"owner.name": "Ada"}
    assert secret.topics[0].name == _TOPICS[0]["name"]
    assert "automatic" in secret.replication
    assert re.fullmatch(r'"[0-9a-f]+"', secret.etag)
    with pytest.raises(exceptions.AlreadyExists, match=r"Secret \[.*\] already exists") as refused:
        cloud.secret()
    assert refused.value.domain == "secretmanager.googleapis.com"


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"replication": {}}, "replication must be provided"),
        ({"labels": {"Team": ""}}, "Label key"),
        ({"annotations": {"-owner": "Ada"}}, "Annotation key"),
        ({"annotations": {"owner": "A" * 16384}}, "16389 bytes"),
        ({"topics": [{"name": "rotations"}]}, "topics must be"),
        ({"topics": _TOPICS * 11}, "topics must be at most 10"),
        ({"expire_time": "2026-01-01T00:00:00Z"}, "expire_time must be in the future"),
        ({"ttl": timedelta(0)}, "expire_time must be in the future"),
        ({"rotation": {"rotation_period": timedelta(days=1)}}, "topics must be set"),
        (
            {"rotation": {"rotation_period": timedelta(days=1)}, "topics": _TOPICS},
            "next_rotation_time must be set",
        ),
        (
            {
                "rotation": {
                    "rotation_period": timedelta(minutes=1),
                    "next_rotation_time": "2027-01-01T00:00:00Z",
                },
                "topics": _TOPICS,
            },
            "between 1 hour and 100 years",
        ),
        ({"version_destroy_ttl": timedelta(hours=1)}, "version_destroy_ttl must be"),
        ({"version_aliases": {"current": 1}}, "by an update"),
    ],
)
def test_a_secret_that_may_not_be_is_invalid(cloud: Cloud, fields: dict[str, Any], sentence: str) -> None:
    with pytest.raises(exceptions.InvalidArgument, match=sentence):
        cloud.secret(**fields)
    assert not list(cloud.secrets.list_secrets(parent=f"projects/{cloud.project}"))


def test_names_that_break_the_pattern_are_invalid(cloud: Cloud) -> None:
    with pytest.raises(exceptions.InvalidArgument, match="secret_id"):
        cloud.secret("no.dots")
    with pytest.raises(exceptions.InvalidArgument, match="name"):
        cloud.secrets.get_secret(name="projects/only")
    with pytest.raises(exceptions.InvalidArgument, match="parent"):
        cloud.secrets.create_secret(parent="projects/p/locations/l", secret_id="s", secret=Secret())
    with pytest.raises(exceptions.InvalidArgument, match="name"):
        cloud.secrets.access_secret_version(name=f"{cloud.secret()}/versions/0")


def test_a_typed_secret_is_not_served(cloud: Cloud) -> None:
    with pytest.raises(exceptions.MethodNotImplemented, match="typed secret"):
        cloud.secret(customer_managed_encryption={"kms_key_name": "key"})


def test_secrets_are_listed_the_newest_first_in_pages(cloud: Cloud) -> None:
    names = [cloud.secret(f"secret-{number}") for number in range(5)]

    asked = {"parent": f"projects/{cloud.project}", "page_size": 2}
    pages = list(cloud.secrets.list_secrets(request=asked).pages)

    assert [secret.name for page in pages for secret in page.secrets] == names[::-1]
    assert [len(page.secrets) for page in pages] == [2, 2, 1]
    assert pages[0].total_size == 5


def test_an_update_changes_what_its_mask_names_and_the_etag(cloud: Cloud) -> None:
    name = cloud.secret(labels={"team": "platform"}, annotations={"owner": "Ada"})
    before = cloud.secrets.get_secret(name=name)

    changed = _update(cloud, name, ["labels", "topics"], labels={"stage": "dev"}, topics=_TOPICS)

    assert dict(changed.labels) == {"stage": "dev"}
    assert dict(changed.annotations) == {"owner": "Ada"}
    assert changed.etag != before.etag
    assert cloud.secrets.get_secret(name=name) == changed


def test_rotation_settings_are_kept(cloud: Cloud) -> None:
    name = cloud.secret(topics=_TOPICS)
    rotation = {"next_rotation_time": "2027-01-01T00:00:00Z", "rotation_period": timedelta(days=30)}

    _update(cloud, name, ["rotation"], rotation=rotation)
    changed = _update(
        cloud, name, ["rotation.rotation_period"], rotation={"rotation_period": timedelta(days=7)}
    )

    assert changed.rotation.rotation_period == timedelta(days=7)
    assert changed.rotation.next_rotation_time.year == 2027


def test_an_update_with_an_old_etag_is_refused_and_one_without_is_not(cloud: Cloud) -> None:
    name = cloud.secret()
    old = cloud.secrets.get_secret(name=name).etag
    _update(cloud, name, ["labels"], labels={"stage": "dev"}, etag=old)

    with pytest.raises(exceptions.FailedPrecondition, match="etag"):
        _update(cloud, name, ["labels"], labels={"stage": "prod"}, etag=old)
    with pytest.raises(exceptions.FailedPrecondition, match="etag"):
        cloud.secrets.delete_secret(request={"name": name, "etag": old})
    assert dict(_update(cloud, name, ["labels"], labels={}).labels) == {}


def test_what_may_not_be_changed_is_refused(cloud: Cloud) -> None:
    name = cloud.secret()

    for mask in (["replication"], ["name"], []):
        with pytest.raises(exceptions.InvalidArgument, match="update_mask"):
            _update(cloud, name, mask)
    with pytest.raises(exceptions.NotFound):
        _update(cloud, f"{name}2", ["labels"])


def test_a_deleted_secret_is_gone_with_its_versions_and_a_new_one_counts_from_one(cloud: Cloud) -> None:
    name = cloud.secret()
    cloud.add(name, b"old")
    cloud.add(name, b"old too")

    cloud.secrets.delete_secret(name=name)

    for call in (cloud.secrets.get_secret, cloud.secrets.delete_secret):
        with pytest.raises(exceptions.NotFound):
            call(name=name)
    with pytest.raises(exceptions.NotFound):
        cloud.secrets.access_secret_version(name=f"{name}/versions/1")
    assert cloud.add(cloud.secret(), b"new") == f"{name}/versions/1"


def test_a_secret_with_a_ttl_is_deleted_when_its_time_is_over(cloud: Cloud) -> None:
    name = cloud.secret(ttl=timedelta(hours=1))
    secret = cloud.secrets.get_secret(name=name)
    assert secret.expire_time == cloud.clock.now + timedelta(hours=1)
    assert "ttl" not in secret

    cloud.clock.advance(timedelta(hours=1))

    with pytest.raises(exceptions.NotFound):
        cloud.secrets.get_secret(name=name)


def test_a_secret_whose_end_was_taken_away_stays(cloud: Cloud) -> None:
    name = cloud.secret(expire_time=cloud.clock.now + timedelta(hours=1))

    _update(cloud, name, ["expire_time"])
    cloud.clock.advance(timedelta(days=1))

    assert cloud.secrets.get_secret(name=name).name == name


def test_aliases_are_for_versions_that_exist_and_names_that_are_free(cloud: Cloud) -> None:
    name = cloud.secret()
    cloud.add(name)

    with pytest.raises(exceptions.FailedPrecondition, match="does not exist"):
        _update(cloud, name, ["version_aliases"], version_aliases={"current": 2})
    for alias in ("latest", "NEW", "1st", "a" * 64):
        with pytest.raises(exceptions.InvalidArgument, match="Version alias"):
            _update(cloud, name, ["version_aliases"], version_aliases={alias: 1})
    with pytest.raises(exceptions.InvalidArgument, match="more than 50"):
        _update(cloud, name, ["version_aliases"], version_aliases={f"a{n}": 1 for n in range(51)})
