"""Secrets and versions in the store: finding them, changing their states, their end.

What belongs here: what several methods of `service.py` share.
"""

import secrets as random
from datetime import datetime
from typing import Any

from google.cloud.secretmanager_v1 import Secret, SecretVersion

from convergence_orchestration.local_gcp.iam import delete_policy
from convergence_orchestration.local_gcp.refusals import failed_precondition, not_found
from convergence_orchestration.local_gcp.secret_manager import names
from convergence_orchestration.local_gcp.store import Rows

EXPIRE = "secret_manager.expire"
DESTROY = "secret_manager.destroy"
State: Any = SecretVersion.State


def new_etag() -> str:
    """An etag as Google writes them: with quotation marks."""
    return f'"{random.token_hex(7)}"'


def require_secret(rows: Rows, name: str) -> Secret:
    """The secret.

    Raises:
        Refusal: NOT_FOUND.
    """
    return rows.get(Secret, name) or not_found(f"Secret [{name}]")


def require_version(rows: Rows, name: str) -> SecretVersion:
    """The version of a name that ends with a number, an alias or `latest`: the newest one, whatever its state.

    Raises:
        Refusal: NOT_FOUND.
    """
    secret_name, identifier = names.parts(name)
    secret = require_secret(rows, secret_name)
    if identifier == names.LATEST:
        number = rows.last_ordinal(SecretVersion, secret_name)
    elif identifier.isdecimal():
        number = int(identifier)
    else:
        number = secret.version_aliases.get(identifier, 0)
    version = rows.get(SecretVersion, names.version_name(secret_name, number))
    return version or not_found(f"Secret Version [{name}]")


def require_numbered_version(rows: Rows, name: str) -> SecretVersion:
    """The version of a name that ends with a number or `latest`: aliases are for reading only.

    Raises:
        Refusal: NOT_FOUND.
    """
    _, identifier = names.parts(name)
    if not identifier.isdecimal() and identifier != names.LATEST:
        not_found(f"Secret Version [{name}]")
    return require_version(rows, name)


def require_etag(resource: Secret | SecretVersion, etag: str) -> None:
    """Check the etag that came with a change, if one came.

    Raises:
        Refusal: FAILED_PRECONDITION, the resource has changed since.
    """
    if etag and etag != resource.etag:
        message = f"The etag provided does not match the one of [{resource.name}]: it was changed meanwhile."
        failed_precondition(message)


def require_not_destroyed(version: SecretVersion) -> None:
    """Check that the version still has a payload.

    Raises:
        Refusal: FAILED_PRECONDITION.
    """
    if version.state == State.DESTROYED:
        failed_precondition(f"Secret Version [{version.name}] is in DESTROYED state.")


def set_state(rows: Rows, version: SecretVersion, state: int) -> SecretVersion:
    """The version in this state, with a new etag; a destruction that was scheduled is called off."""
    version.state = State(state)
    version.etag = new_etag()
    del version.scheduled_destroy_time
    rows.set_timer(version.name, DESTROY, None)
    rows.update(version.name, version)
    return version


def schedule_destruction(rows: Rows, version: SecretVersion, at: datetime) -> SecretVersion:
    """The version, disabled now and to be destroyed at this time."""
    set_state(rows, version, State.DISABLED)
    version.scheduled_destroy_time = at
    rows.set_timer(version.name, DESTROY, at)
    rows.update(version.name, version)
    return version


def destroy(rows: Rows, version: SecretVersion, at: datetime) -> SecretVersion:
    """The version without its payload, for ever."""
    version.destroy_time = at
    set_state(rows, version, State.DESTROYED)
    rows.erase(version.name)
    return version


def delete_secret(rows: Rows, secret: Secret) -> None:
    """Forget the secret, its versions and its policy."""
    for number in range(1, rows.last_ordinal(SecretVersion, secret.name) + 1):
        name = names.version_name(secret.name, number)
        rows.erase(name)
        rows.set_timer(name, DESTROY, None)
        rows.delete(SecretVersion, name)
    rows.set_timer(secret.name, EXPIRE, None)
    rows.delete(Secret, secret.name)
    delete_policy(rows, secret.name)
