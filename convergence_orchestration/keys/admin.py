"""An administrators' key: where it comes from, where it is put, and how a caller's is compared with it.

What belongs here: ADMIN_API_KEY and one key of a secret; a key's life over time is `admins/`. Any text of 16 characters or more is
accepted as a key, as the guide's own `admin_...` keys are; one that says it is ours must be of this environment.
"""

import hmac
from datetime import timedelta
from hashlib import sha256

from pydantic import SecretStr

from convergence_orchestration.errors import ConvergenceError, ErrorCode, PermanentError
from convergence_orchestration.gcp.secret_versions import SecretVersions
from convergence_orchestration.gcp.secrets import Secrets, SecretVersion
from convergence_orchestration.keys.admins.elsewhere import refuse_shared
from convergence_orchestration.keys.admins.model import NAME_LABEL, UNNAMED, counting, secret_id_of
from convergence_orchestration.keys.token import KeyKind, generate_admin_key, is_well_formed
from convergence_orchestration.settings import Environment, Settings

MIN_LENGTH = 16


class AdminKey:
    """The key that administrators' calls must carry.

    Attributes:
        key: the key itself, which no text of this object shows.
        source: where it was read: `ADMIN_API_KEY`, or the secret version's name.
    """

    def __init__(self, key: SecretStr, source: str, environment: Environment) -> None:
        """Take `key` as the key.

        Raises:
            PermanentError: INVALID_SETTINGS: too short, not printable ASCII, mistyped, or of another environment.
        """
        check(key, environment, source)
        self.key = key
        self.source = source
        self._digest = sha256(key.get_secret_value().encode()).digest()

    def accepts(self, candidate: str) -> bool:
        """`candidate` is the key; the time this takes says nothing about how much of it is right."""
        return hmac.compare_digest(sha256(candidate.encode("utf-8", "surrogatepass")).digest(), self._digest)

    def __repr__(self) -> str:
        return f"AdminKey(source={self.source!r})"


def check(key: SecretStr, environment: Environment, source: str) -> None:
    """Refuse what cannot be an administrators' key of `environment`; `source` is named in the message.

    Raises:
        PermanentError: INVALID_SETTINGS.
    """
    text = key.get_secret_value()
    how = f"make one with `python3 scripts/generate_admin_key.py --environment {environment}`"
    if len(text) < MIN_LENGTH:
        raise PermanentError(
            ErrorCode.INVALID_SETTINGS, f"{source} is too short for a key of {MIN_LENGTH} characters: {how}."
        )
    if not (text.isascii() and text.isprintable() and text == text.strip()):
        raise PermanentError(
            ErrorCode.INVALID_SETTINGS,
            f"{source} has characters no header can carry (a line break at its end, perhaps): {how}.",
        )
    if text.startswith(f"{KeyKind.ADMIN}_") and not is_well_formed(text, environment, KeyKind.ADMIN):
        raise PermanentError(
            ErrorCode.INVALID_SETTINGS,
            f"{source} is mistyped or a key of another environment than {environment}: {how}.",
        )


def read(settings: Settings, secrets: Secrets, name: str = UNNAMED) -> AdminKey:
    """An administrator's key: ADMIN_API_KEY if it is set and no name is given, else the secret's newest enabled version.

    Raises:
        PermanentError: NOT_FOUND if neither is there, saying how to make one; FAILED_PRECONDITION if no version is
            enabled; INVALID_SETTINGS; INVALID_ARGUMENT.
    """
    if settings.admin_api_key is not None and name == UNNAMED:
        return AdminKey(settings.admin_api_key, "ADMIN_API_KEY", settings.environment)
    secret_id = secret_id_of(settings.environment, name)
    version = _newest_enabled(secrets, secret_id)
    if version is None:
        raise PermanentError(ErrorCode.NOT_FOUND, _how_to_make(secret_id, name), {"secret": secret_id})
    return AdminKey(key_in(version.payload), version.name, settings.environment)


def key_in(payload: bytes) -> SecretStr:
    """The key in a version's payload; what is no text cannot pass `check`."""
    return SecretStr(payload.decode("utf-8", "replace"))


def store(settings: Settings, secrets: Secrets, key: SecretStr, name: str = UNNAMED) -> str:
    """Put `key` into Secret Manager as the newest version of an administrator's secret; the version's name.

    Raises:
        PermanentError: INVALID_SETTINGS if it cannot be a key of this environment, or another environment has it.
    """
    secret_id = secret_id_of(settings.environment, name)
    check(key, settings.environment, "The new administrators' key")
    refuse_shared(secrets, settings.environment, key)
    secrets.ensure_secret(secret_id, labels_of(name))
    return secrets.add_version(secret_id, key.get_secret_value().encode())


def labels_of(name: str) -> dict[str, str]:
    """The labels of an administrator's secret; named ones carry their name."""
    named = {} if name == UNNAMED else {NAME_LABEL: name}
    return {"managed_by": "convergence-orchestration", **named}


def ensure(settings: Settings, secrets: Secrets) -> AdminKey:
    """The key there is, or a fresh one made and stored if there is none."""
    try:
        return read(settings, secrets)
    except PermanentError as error:
        if error.code is not ErrorCode.NOT_FOUND:
            raise
    key = generate_admin_key(settings.environment)
    return AdminKey(key, store(settings, secrets, key), settings.environment)


def _newest_enabled(secrets: Secrets, secret_id: str) -> SecretVersion | None:
    try:
        return secrets.access(secret_id)
    except ConvergenceError as error:
        if error.code is ErrorCode.NOT_FOUND:
            return None
        if error.code is not ErrorCode.FAILED_PRECONDITION:
            raise
    current = counting(SecretVersions(secrets).versions(secret_id), (), timedelta()).current
    if current is None:  # somebody has locked the door: nothing of ours makes a key behind their back
        raise PermanentError(
            ErrorCode.FAILED_PRECONDITION,
            f"Enable a version of secret {secret_id}, or rotate it with `convergence admin-key rotate`: none is enabled.",
            {"secret": secret_id},
        )
    return secrets.access(secret_id, str(current.number))


def _how_to_make(secret_id: str, name: str) -> str:
    if name != UNNAMED:
        return f"Add the administrator first: `convergence admin-key add {name}`; secret {secret_id} has no enabled version."
    return (
        "Make an administrators' key first: `python3 scripts/generate_admin_key.py`, then set ADMIN_API_KEY or store "
        f"it as the secret {secret_id}, which has no enabled version."
    )
