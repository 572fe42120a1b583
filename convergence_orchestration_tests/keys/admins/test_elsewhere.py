from datetime import UTC, datetime, timedelta

import pytest
from pydantic import SecretStr

from convergence_orchestration.errors import ErrorCode, PermanentError, TransientError
from convergence_orchestration.gcp.secret_versions import SecretVersions
from convergence_orchestration.gcp.secrets import Secrets
from convergence_orchestration.keys import admin
from convergence_orchestration.keys.admins.elsewhere import refuse_shared
from convergence_orchestration.keys.admins.model import UNNAMED, AgeState
from convergence_orchestration.keys.admins.upkeep import administrators, keep, stand
from convergence_orchestration.keys.token import generate_admin_key
from convergence_orchestration.settings import Environment, Settings
from convergence_orchestration_tests.emulators import Emulator
from convergence_orchestration_tests.gcp.faults import faults

GUIDES = SecretStr("admin_3f1c9a7e5b2d4f60")
OTHER = SecretStr("admin_00000000000000000")
DAY = timedelta(days=1)


def put(secrets: Secrets, secret_id: str, key: SecretStr) -> None:
    secrets.ensure_secret(secret_id)
    secrets.add_version(secret_id, key.get_secret_value().encode())


@pytest.mark.parametrize("secret_id", ["admin-api-key-staging", "admin-api-key-prod--ann"])
def test_the_guides_key_of_another_environment_is_not_stored(
    settings: Settings, secrets: Secrets, secret_id: str
) -> None:
    put(secrets, secret_id, GUIDES)
    put(secrets, secret_id, OTHER)  # the version before is looked at too

    with pytest.raises(PermanentError, match=f"secret {secret_id} of another environment") as refused:
        admin.store(settings, secrets, GUIDES)

    assert refused.value.code is ErrorCode.INVALID_SETTINGS
    assert GUIDES.get_secret_value() not in f"{refused.value} {refused.value.details}"
    assert SecretVersions(secrets).secret("admin-api-key-dev") is None


def test_the_same_environment_and_other_secrets_are_no_other_environment(secrets: Secrets) -> None:
    for secret_id in (
        "admin-api-key-dev",
        "admin-api-key-dev--ann",
        "admin-api-key-of-something",
        "password",
    ):
        put(secrets, secret_id, GUIDES)

    refuse_shared(secrets, Environment.DEVELOPMENT, GUIDES)


def test_what_cannot_be_read_is_unknown_and_not_the_same(secrets: Secrets, local_gcp: Emulator) -> None:
    put(secrets, "admin-api-key-staging", GUIDES)

    with faults(local_gcp, {"method": "*/AccessSecretVersion", "code": "PERMISSION_DENIED"}):
        refuse_shared(secrets, Environment.DEVELOPMENT, GUIDES)
    may_not_list = {"method": "*SecretManagerService/List*", "code": "PERMISSION_DENIED"}
    with faults(local_gcp, may_not_list), pytest.raises(PermanentError, match="admin-api-key-staging"):
        refuse_shared(secrets, Environment.DEVELOPMENT, GUIDES)


def test_a_secret_manager_that_does_not_answer_stops_who_stores_and_not_who_verifies(
    secrets: Secrets,
) -> None:
    silent = Silent(secrets.client, secrets.project)
    put(secrets, "admin-api-key-staging", GUIDES)

    refuse_shared(silent, Environment.DEVELOPMENT, GUIDES, is_patient=True)
    with pytest.raises(TransientError):
        refuse_shared(silent, Environment.DEVELOPMENT, GUIDES)


def test_the_daily_look_tells_of_a_shared_key_and_of_one_that_is_unfit(
    settings: Settings, secrets: Secrets
) -> None:
    put(secrets, "admin-api-key-dev", GUIDES)
    put(secrets, "admin-api-key-prod", GUIDES)
    for name, key in (("ann", SecretStr("short")), ("bob", generate_admin_key(Environment.STAGING))):
        secrets.ensure_secret(f"admin-api-key-dev--{name}", admin.labels_of(name))
        put(secrets, f"admin-api-key-dev--{name}", key)
    now = datetime.now(UTC)

    found = {name: keep(settings, secrets, name, "run", now) for name in administrators(settings, secrets)}

    assert list(found) == [UNNAMED, "ann", "bob"]
    assert "admin-api-key-prod of another environment" in found[UNNAMED].trouble
    assert "too short" in found["ann"].trouble
    assert "another environment" in found["bob"].trouble
    assert not any(each.is_well or each.rotated for each in found.values())


def test_a_due_key_is_rotated_once_by_one_look_and_the_old_one_retired_by_a_later(
    settings: Settings, secrets: Secrets
) -> None:
    short = settings.model_copy(update={"admin_key_rotation_days": 30})
    admin.ensure(short, secrets)
    now = datetime.now(UTC)
    soon, due = now + 20 * DAY, now + 30 * DAY

    announced = keep(short, secrets, UNNAMED, "monday", soon)
    rotated = keep(short, secrets, UNNAMED, "tuesday", due)
    repeated = keep(short, secrets, UNNAMED, "tuesday", due)

    assert (announced.verdict.state, announced.rotated, announced.is_well) == (AgeState.DUE_SOON, False, True)
    assert rotated.rotated
    assert rotated.verdict.number == 2
    assert not repeated.rotated


def test_a_key_that_could_not_be_rotated_is_overdue_and_says_why(
    settings: Settings, secrets: Secrets, local_gcp: Emulator
) -> None:
    admin.ensure(settings, secrets)
    late = datetime.now(UTC) + 92 * DAY

    with faults(local_gcp, {"method": "*/UpdateSecret", "code": "PERMISSION_DENIED"}):
        kept = keep(settings, secrets, UNNAMED, "run", late)

    assert kept.verdict.state is AgeState.OVERDUE
    assert "gcloud projects add-iam-policy-binding" in kept.trouble
    assert not kept.is_well


def test_an_administrator_whose_versions_are_all_disabled_gets_no_key_from_us(
    settings: Settings, secrets: Secrets
) -> None:
    admin.ensure(settings, secrets)
    SecretVersions(secrets).disable("admin-api-key-dev", 1)
    now = datetime.now(UTC)

    assert stand(settings, secrets, UNNAMED, now).verdict.state is AgeState.MISSING
    assert keep(settings, secrets, UNNAMED, "run", now).verdict.state is AgeState.MISSING
    for read in (admin.read, admin.ensure):
        with pytest.raises(PermanentError, match="none is enabled") as refused:
            read(settings, secrets)
        assert refused.value.code is ErrorCode.FAILED_PRECONDITION


def test_a_disabled_newest_version_leaves_the_one_before(settings: Settings, secrets: Secrets) -> None:
    first = admin.ensure(settings, secrets).key
    admin.store(settings, secrets, generate_admin_key(settings.environment))
    SecretVersions(secrets).disable("admin-api-key-dev", 2)

    assert admin.read(settings, secrets).key == first


def test_a_secret_that_is_not_there_is_missing(settings: Settings, secrets: Secrets) -> None:
    assert stand(settings, secrets, UNNAMED, datetime.now(UTC)).verdict.state is AgeState.MISSING


class Silent(Secrets):
    """Lists, and gives out no payload."""

    def access(self, secret_id: str, version: str = "latest") -> object:  # type: ignore[override]
        raise TransientError(ErrorCode.UNAVAILABLE, f"Try again: {secret_id}/{version}.")
