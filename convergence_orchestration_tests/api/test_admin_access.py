from collections.abc import Iterator
from contextlib import contextmanager

import anyio
import pytest
from pydantic import SecretStr

from convergence_orchestration.api.admin_access import (
    FRESH_SECONDS,
    RECHECK_SECONDS,
    STALE_SECONDS,
    AdminAccess,
)
from convergence_orchestration.errors import ConvergenceError
from convergence_orchestration.gcp.clients import secret_manager_client
from convergence_orchestration.gcp.secrets import Secrets
from convergence_orchestration.keys import admin
from convergence_orchestration.keys.token import generate_admin_key
from convergence_orchestration.settings import Environment, Settings
from convergence_orchestration_tests.emulators import Emulator
from convergence_orchestration_tests.gcp.faults import faults


class Door:
    """An AdminAccess over a Secret Manager of its own, and its clock."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.secrets = Secrets(secret_manager_client(settings), settings.gcp_project_id)
        self.seconds = 1000.0
        self.access = AdminAccess(settings, self.secrets, lambda: self.seconds)

    def store(self) -> str:
        key = generate_admin_key(Environment.DEVELOPMENT)
        admin.store(self.settings, self.secrets, key)
        return key.get_secret_value()

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
    assert not door.accepts(first)


def test_a_replaced_key_is_refused_once_the_known_one_is_not_fresh(door: Door) -> None:
    first = door.store()
    assert door.accepts(first)
    door.store()
    assert door.accepts(first)

    door.seconds += FRESH_SECONDS

    assert not door.accepts(first)


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
