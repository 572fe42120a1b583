from datetime import UTC, datetime, timedelta

import pytest
from google.cloud import secretmanager_v1

from convergence_orchestration.errors import ErrorCode, PermanentError, TransientError
from convergence_orchestration.gcp.clients import secret_manager_client
from convergence_orchestration.gcp.secrets import Secrets
from convergence_orchestration.settings import Settings
from convergence_orchestration_tests.emulators import Emulator
from convergence_orchestration_tests.gcp.faults import faults

SERVICE = "google.cloud.secretmanager.v1.SecretManagerService"


@pytest.fixture
def secrets(settings: Settings) -> Secrets:
    return Secrets(secret_manager_client(settings), settings.gcp_project_id)


def test_a_secret_is_made_once_with_its_labels(secrets: Secrets) -> None:
    assert secrets.ensure_secret("admin-api-key-dev", {"made_by": "us"}) is True
    assert secrets.ensure_secret("admin-api-key-dev") is False

    found = secrets.client.get_secret(name=f"projects/{secrets.project}/secrets/admin-api-key-dev")
    assert dict(found.labels) == {"made_by": "us"}


def test_somebody_quicker_is_no_error(secrets: Secrets, local_gcp: Emulator) -> None:
    with faults(local_gcp, {"method": f"{SERVICE}/CreateSecret", "code": "ALREADY_EXISTS"}):
        assert secrets.ensure_secret("admin-api-key-dev") is False


def test_the_newest_version_is_read_or_any_other(secrets: Secrets) -> None:
    secrets.ensure_secret("admin-api-key-dev")

    first = secrets.add_version("admin-api-key-dev", b"one")
    second = secrets.add_version("admin-api-key-dev", b"two")

    assert secrets.access("admin-api-key-dev").payload == b"two"
    assert secrets.access("admin-api-key-dev").name == second
    assert secrets.access("admin-api-key-dev", "1").payload == b"one"
    assert first.endswith("/secrets/admin-api-key-dev/versions/1")


def test_the_payload_is_not_shown(secrets: Secrets) -> None:
    secrets.ensure_secret("admin-api-key-dev")
    secrets.add_version("admin-api-key-dev", b"very secret")

    assert "very secret" not in repr(secrets.access("admin-api-key-dev"))


def test_the_same_payload_adds_nothing(secrets: Secrets) -> None:
    secrets.ensure_secret("admin-api-key-dev")

    assert secrets.add_version("admin-api-key-dev", b"one") == secrets.add_version(
        "admin-api-key-dev", b"one"
    )


def test_an_addition_that_failed_for_a_moment_is_repeated(secrets: Secrets, local_gcp: Emulator) -> None:
    secrets.ensure_secret("admin-api-key-dev")

    with faults(local_gcp, {"method": f"{SERVICE}/AddSecretVersion", "code": "UNAVAILABLE", "times": 1}):
        name = secrets.add_version("admin-api-key-dev", b"one")

    assert name.endswith("/versions/1")


def test_a_disabled_newest_version_is_followed_by_a_new_one(secrets: Secrets) -> None:
    secrets.ensure_secret("admin-api-key-dev")
    first = secrets.add_version("admin-api-key-dev", b"one")
    secrets.client.disable_secret_version(request=secretmanager_v1.DisableSecretVersionRequest(name=first))

    with pytest.raises(PermanentError) as caught:
        secrets.access("admin-api-key-dev")
    second = secrets.add_version("admin-api-key-dev", b"one")

    assert caught.value.code is ErrorCode.FAILED_PRECONDITION
    assert second.endswith("/versions/2")


@pytest.mark.parametrize("field", ["payload.data", "payload.data_crc32c", "name"])
def test_a_damaged_answer_is_found(secrets: Secrets, local_gcp: Emulator, field: str) -> None:
    secrets.ensure_secret("admin-api-key-dev")
    secrets.add_version("admin-api-key-dev", b"one")
    damage = {"method": f"{SERVICE}/AccessSecretVersion", "corrupt": field}

    with faults(local_gcp, damage), pytest.raises(TransientError) as caught:
        secrets.access("admin-api-key-dev")

    assert caught.value.code is ErrorCode.DATA_CORRUPTED


def test_a_missing_secret_or_version_says_so(secrets: Secrets) -> None:
    secrets.ensure_secret("empty")

    for secret_id in ("nowhere", "empty"):
        with pytest.raises(PermanentError) as caught:
            secrets.access(secret_id)
        assert caught.value.code is ErrorCode.NOT_FOUND
    with pytest.raises(PermanentError) as caught:
        secrets.add_version("nowhere", b"one")
    assert caught.value.code is ErrorCode.NOT_FOUND


def test_a_missing_role_names_the_command_that_grants_it(secrets: Secrets, local_gcp: Emulator) -> None:
    secrets.ensure_secret("admin-api-key-dev")

    with faults(local_gcp, {"method": f"{SERVICE}/*", "code": "PERMISSION_DENIED"}):
        with pytest.raises(PermanentError, match=r"roles/secretmanager\.secretAccessor"):
            secrets.access("admin-api-key-dev")
        with pytest.raises(PermanentError, match=r"roles/secretmanager\.admin"):
            secrets.ensure_secret("admin-api-key-dev")


def test_nothing_is_added_while_the_newest_version_cannot_be_compared(
    secrets: Secrets, local_gcp: Emulator
) -> None:
    secrets.ensure_secret("admin-api-key-dev")

    refusal = {"method": f"{SERVICE}/AccessSecretVersion", "code": "PERMISSION_DENIED"}
    with faults(local_gcp, refusal), pytest.raises(PermanentError) as caught:
        secrets.add_version("admin-api-key-dev", b"one")

    assert caught.value.code is ErrorCode.PERMISSION_DENIED
    with pytest.raises(PermanentError, match="Not found"):
        secrets.access("admin-api-key-dev")


def test_a_deleted_secret_is_gone_with_its_versions_and_deleting_it_again_is_harmless(
    secrets: Secrets, local_gcp: Emulator
) -> None:
    secrets.ensure_secret("sealed-key-dev-1")
    secrets.add_version("sealed-key-dev-1", b"one")

    with faults(local_gcp, {"method": f"{SERVICE}/DeleteSecret", "code": "UNAVAILABLE", "times": 1}):
        assert secrets.delete_secret("sealed-key-dev-1") is True
    assert secrets.delete_secret("sealed-key-dev-1") is False
    with pytest.raises(PermanentError) as caught:
        secrets.access("sealed-key-dev-1", "1")
    assert caught.value.code is ErrorCode.NOT_FOUND


def test_secrets_are_listed_by_the_beginning_of_their_ids(secrets: Secrets) -> None:
    before = datetime.now(UTC)
    for number in range(3):
        secrets.ensure_secret(f"sealed-key-dev-{number}", {"tenant": f"acme{number}"})
    secrets.ensure_secret("sealed-key-staging-1")
    secrets.ensure_secret("old-sealed-key-dev-1", {"tenant": "acme1"})

    listed = {each.secret_id: each for each in secrets.list_secrets("sealed-key-dev-")}

    assert sorted(listed) == ["sealed-key-dev-0", "sealed-key-dev-1", "sealed-key-dev-2"]
    assert listed["sealed-key-dev-1"].labels["tenant"] == "acme1"
    assert abs(listed["sealed-key-dev-1"].created_at - before) < timedelta(minutes=5)
    assert secrets.list_secrets("nothing") == []
    assert secrets.list_secrets("sealed-key-dev-", {"tenant": "acme1"}) == [listed["sealed-key-dev-1"]]
