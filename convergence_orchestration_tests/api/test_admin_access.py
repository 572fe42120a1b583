from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import anyio
import pytest
from pydantic import SecretStr

from convergence_orchestration.api.admin_access import (
    FRESH_SECONDS,
    NAMES_RECHECK_SECONDS,
    NAMES_SECONDS,
    RECHECK_SECONDS,
    STALE_SECONDS,
    AdminAccess,
)
from convergence_orchestration.errors import ConvergenceError
from convergence_orchestration.gcp.clients import secret_manager_client
from convergence_orchestration.gcp.secret_versions import SecretVersions
from convergence_orchestration.gcp.secrets import Secrets
from convergence_orchestration.keys import admin
from convergence_orchestration.keys.admins import roll
from convergence_orchestration.keys.admins.model import UNNAMED
from convergence_orchestration.keys.admins.rotating import Rotating, rotate
from convergence_orchestration.keys.token import generate_admin_key
from convergence_orchestration.settings import Environment, Settings
from convergence_orchestration_tests.emulators import Emulator
from convergence_orchestration_tests.gcp.faults import faults

SECRET = "admin-api-key-dev"


class Door:
    """An AdminAccess over a Secret Manager of its own, and its clock."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.secrets = Secrets(secret_manager_client(settings), settings.gcp_project_id)
        self.metadata = SecretVersions(self.secrets)
        self.seconds = 1000.0
        self.ahead = timedelta()
        self.access = AdminAccess(
            settings, self.secrets, lambda: self.seconds, lambda: datetime.now(UTC) + self.ahead
        )

    def store(self, name: str = UNNAMED) -> str:
        key = generate_admin_key(Environment.DEVELOPMENT)
        admin.store(self.settings, self.secrets, key, name)
        return key.get_secret_value()

    def put(self, payload: bytes) -> None:
        """A version as anybody may add it, unchecked."""
        self.secrets.ensure_secret(SECRET)
        self.secrets.add_version(SECRET, payload)

    def accepts(self, candidate: str) -> bool:
        return self.name_of(candidate) is not None

    def name_of(self, candidate: str) -> str | None:
        return anyio.run(self.access.name_of, candidate)


@pytest.fixture
def door(settings: Settings) -> Door:
    return Door(settings)


@contextmanager
def unreachable_secrets(local_gcp: Emulator) -> Iterator[None]:
    with faults(local_gcp, {"method": "*/AccessSecretVersion", "code": "PERMISSION_DENIED"}):
        yield


def test_the_key_in_secret_manager_is_accepted_and_no_other(door: Door) -> None:
    key = door.store()

    assert door.accepts(key)
    assert not door.accepts(key[:-1])
    assert not door.accepts("")


def test_without_any_key_nobody_is_let_in(door: Door) -> None:
    assert not door.accepts("admin_anything_goes_here")


def test_a_key_that_was_stored_a_moment_ago_is_accepted(door: Door) -> None:
    first = door.store()
    assert door.accepts(first)
    second = door.store()
    assert not door.accepts(second)

    door.seconds += RECHECK_SECONDS

    assert door.accepts(second)


def test_the_key_before_counts_until_the_overlap_ends(door: Door) -> None:
    first, second = door.store(), door.store()
    assert door.accepts(first)
    assert door.accepts(second)

    door.ahead = timedelta(hours=23)
    assert door.accepts(first)
    door.ahead = timedelta(hours=24)

    assert not door.accepts(first)
    assert door.accepts(second)


def test_a_rotation_says_how_long_the_key_before_counts(door: Door) -> None:
    first = door.store()
    wanted = Rotating("run", UNNAMED, timedelta(hours=2))
    rotate(door.settings, door.secrets, wanted, datetime.now(UTC))

    door.ahead = timedelta(hours=1, minutes=59)
    assert door.accepts(first)
    door.ahead = timedelta(hours=2, minutes=1)
    assert not door.accepts(first)


def test_a_rotation_without_overlap_refuses_the_key_before_once_the_known_ones_are_not_fresh(
    door: Door,
) -> None:
    first = door.store()
    assert door.accepts(first)
    rotate(door.settings, door.secrets, Rotating("leak", UNNAMED, timedelta()), datetime.now(UTC))

    door.seconds += FRESH_SECONDS

    assert not door.accepts(first)
    assert door.accepts(admin.read(door.settings, door.secrets).key.get_secret_value())


def test_a_version_that_is_disabled_is_refused_within_seconds_also_the_one_before(door: Door) -> None:
    first, second = door.store(), door.store()
    assert door.accepts(first)
    door.metadata.disable(SECRET, 1)
    door.seconds += FRESH_SECONDS
    assert not door.accepts(first)
    assert door.accepts(second)

    door.metadata.disable(SECRET, 2)
    door.seconds += FRESH_SECONDS

    assert not door.accepts(second)


def test_a_disabled_newest_version_leaves_the_newest_enabled_one(door: Door) -> None:
    first, second = door.store(), door.store()
    door.metadata.disable(SECRET, 2)

    assert door.accepts(first)
    assert not door.accepts(second)
    door.seconds += FRESH_SECONDS
    assert door.accepts(first)
    door.metadata.disable(SECRET, 1)
    door.seconds += FRESH_SECONDS
    assert not door.accepts(first)


def test_metadata_is_read_only_when_the_newest_version_is_another_one(
    door: Door, local_gcp: Emulator
) -> None:
    first, second = door.store(), door.store()
    assert door.accepts(second)

    with faults(
        local_gcp,
        {"method": "*SecretManagerService/List*", "code": "INTERNAL"},
        {"method": "*SecretManagerService/Get*", "code": "INTERNAL"},
    ):
        for _ in range(3):
            door.seconds += FRESH_SECONDS
            assert door.accepts(second)
        # the key before is no named administrator's, so nobody is listed for it either
        assert door.accepts(first)


def test_an_account_that_may_only_read_payloads_knows_the_newest_key_alone(
    door: Door, local_gcp: Emulator
) -> None:
    first, second = door.store(), door.store()
    may_not_list = {"method": "*SecretManagerService/List*", "code": "PERMISSION_DENIED"}

    with faults(local_gcp, may_not_list):
        assert door.accepts(second)
        assert not door.accepts(first)


@pytest.mark.parametrize(
    "payload",
    [b"short", b"\xff" * 40, generate_admin_key(Environment.PRODUCTION).get_secret_value().encode()],
    ids=["short", "no text", "another environment's"],
)
def test_an_unfit_version_is_not_adopted_and_the_key_before_still_counts(door: Door, payload: bytes) -> None:
    first = door.store()
    door.put(payload)

    assert not door.accepts(payload.decode("utf-8", "replace"))
    assert door.accepts(first)


def test_the_guides_key_of_another_environment_is_not_adopted(door: Door) -> None:
    shared = b"admin_of_two_environments"
    door.secrets.ensure_secret("admin-api-key-staging")
    door.secrets.add_version("admin-api-key-staging", shared)
    door.put(shared)

    assert not door.accepts(shared.decode())


def test_a_key_tells_which_administrator_calls(door: Door) -> None:
    own, ann, bob = door.store(), door.store("ann"), door.store("bob")

    assert door.name_of(own) == "administrator"
    assert door.name_of(ann) == "ann"
    assert door.name_of(bob) == "bob"
    assert door.name_of("admin_of_nobody_at_all") is None


def test_an_administrator_added_or_given_a_new_key_a_moment_ago_is_let_in(door: Door) -> None:
    own = door.store()
    assert door.name_of("admin_of_nobody_at_all") is None
    ann = door.store("ann")
    assert door.name_of(ann) is None

    door.seconds += NAMES_RECHECK_SECONDS
    assert door.name_of(ann) == "ann"

    newer = door.store("ann")
    door.seconds += NAMES_RECHECK_SECONDS
    assert door.name_of(newer) == "ann"
    assert door.name_of(own) == "administrator"


def test_a_removed_administrator_is_refused_within_seconds(door: Door) -> None:
    ann = door.store("ann")
    assert door.name_of(ann) == "ann"
    roll.remove(door.settings, door.secrets, "ann")

    door.seconds += FRESH_SECONDS

    assert door.name_of(ann) is None


def test_administrators_that_may_not_be_listed_keep_nobody_else_out(door: Door, local_gcp: Emulator) -> None:
    own, ann = door.store(), door.store("ann")
    with faults(local_gcp, {"method": "*/ListSecrets", "code": "PERMISSION_DENIED"}):
        assert door.name_of(own) == "administrator"
        assert door.name_of(ann) is None


def test_one_unreadable_administrators_secret_keeps_no_other_out(door: Door, local_gcp: Emulator) -> None:
    ann, own = door.store("ann"), door.store()
    assert door.accepts(own)
    with faults(local_gcp, {"method": "*/ListSecretVersions", "code": "FAILED_PRECONDITION"}):
        assert door.name_of(ann) is None
    door.seconds += NAMES_RECHECK_SECONDS
    assert door.name_of(ann) == "ann"


def test_the_administrators_known_count_while_they_cannot_be_listed_again(
    door: Door, local_gcp: Emulator
) -> None:
    door.store()
    ann = door.store("ann")
    assert door.name_of(ann) == "ann"
    with faults(local_gcp, {"method": "*/ListSecrets", "code": "DATA_LOSS"}):
        door.seconds += NAMES_SECONDS
        assert door.name_of(ann) == "ann"
        door.seconds += STALE_SECONDS
        with pytest.raises(ConvergenceError):
            door.name_of(ann)


def test_what_is_refused_by_its_form_asks_nobody(door: Door, local_gcp: Emulator) -> None:
    with faults(local_gcp, {"method": "*", "code": "PERMISSION_DENIED"}):
        for wrong in ("", "short", "cvgadm_dev_mistyped", door_key_of(Environment.STAGING)):
            assert not door.accepts(wrong)


def door_key_of(environment: Environment) -> str:
    return generate_admin_key(environment).get_secret_value()


def test_while_secret_manager_cannot_be_asked_the_last_key_counts_for_a_while(
    door: Door, local_gcp: Emulator
) -> None:
    key = door.store()
    assert door.accepts(key)
    with unreachable_secrets(local_gcp):
        door.seconds += STALE_SECONDS
        assert door.accepts(key)
        door.seconds += FRESH_SECONDS

        with pytest.raises(ConvergenceError):
            door.accepts(key)


def test_a_secret_manager_that_was_never_asked_successfully_lets_nobody_in(
    door: Door, local_gcp: Emulator
) -> None:
    key = door.store()

    with unreachable_secrets(local_gcp), pytest.raises(ConvergenceError):
        door.accepts(key)


def test_a_key_in_the_settings_needs_no_secret_manager(settings: Settings, local_gcp: Emulator) -> None:
    door = Door(settings.model_copy(update={"admin_api_key": SecretStr("admin_of_the_settings")}))

    with unreachable_secrets(local_gcp):
        assert door.accepts("admin_of_the_settings")
        door.seconds += STALE_SECONDS
        assert not door.accepts("admin_of_somebody_else")
