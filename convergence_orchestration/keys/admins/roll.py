"""The administrators of an environment: who there is, adding and removing one.

What belongs here: the roll. Each named administrator is a secret with the label `administrator`; the unnamed one is the
environment's own secret, which the guide makes.
"""

from dataclasses import dataclass

from pydantic import SecretStr

from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.gcp.secret_versions import SecretVersions
from convergence_orchestration.gcp.secrets import Secrets
from convergence_orchestration.keys import admin
from convergence_orchestration.keys.admins.model import (
    NAME_LABEL,
    UNNAMED,
    name_in,
    secret_id_of,
    secret_prefix,
)
from convergence_orchestration.keys.token import generate_admin_key
from convergence_orchestration.settings import Environment, Settings


@dataclass(frozen=True)
class Added:
    """A new administrator: the version that holds the key, and the key, which is shown once."""

    version: str
    key: SecretStr


def names(secrets: Secrets, environment: Environment) -> list[str]:
    """The named administrators in order; a secret whose label is not its name is none."""
    prefix = f"{secret_prefix(environment)}--"
    found = SecretVersions(secrets).secrets_named(prefix)
    return sorted(
        each.labels[NAME_LABEL]
        for each in found
        if each.secret_id.startswith(prefix) and each.labels.get(NAME_LABEL) == name_in(each.secret_id)
    )


def add(settings: Settings, secrets: Secrets, name: str) -> Added:
    """A new administrator with a key.

    Raises:
        PermanentError: INVALID_ARGUMENT, ALREADY_EXISTS if there is one of this name who has a key.
    """
    secret_id = secret_id_of(settings.environment, name)
    secrets.ensure_secret(secret_id, admin.labels_of(name))
    if SecretVersions(secrets).versions(
        secret_id
    ):  # a secret without a version is what a crash left: go on with it
        raise PermanentError(
            ErrorCode.ALREADY_EXISTS,
            f"Choose another name, or give {name} a new key with `convergence admin-key rotate {name}`: there is such an "
            "administrator.",
            {"secret": secret_id},
        )
    key = generate_admin_key(settings.environment)
    return Added(admin.store(settings, secrets, key, name), key)


def remove(settings: Settings, secrets: Secrets, name: str) -> None:
    """Delete an administrator's secret: every API process refuses the key within seconds.

    Raises:
        PermanentError: INVALID_ARGUMENT for the unnamed one, NOT_FOUND.
    """
    secret_id = secret_id_of(settings.environment, name)
    if name == UNNAMED:
        raise PermanentError(
            ErrorCode.INVALID_ARGUMENT,
            "Rotate it instead, with --overlap-hours 0: an environment keeps its own administrators' key.",
        )
    if not SecretVersions(secrets).delete(secret_id):
        raise PermanentError(
            ErrorCode.NOT_FOUND, f"See `convergence admin-key list`: there is no administrator {name}."
        )
