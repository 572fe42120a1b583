"""The administrators' key: where it comes from, where it is put, and how a caller's is compared with it.

What belongs here: ADMIN_API_KEY and the secret `admin-api-key-<environment>`. Any text of 16 characters or more is
accepted as a key, as the guide's own `admin_...` keys are; one that says it is ours must be of this environment.
"""

import hmac
from hashlib import sha256

from pydantic import SecretStr

from convergence_orchestration.errors import ConvergenceError, ErrorCode, PermanentError
from convergence_orchestration.gcp.secrets import Secrets
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


def read(settings: Settings, secrets: Secrets) -> AdminKey:
    """ADMIN_API_KEY if it is set, else the newest version of the secret.

    Raises:
        PermanentError: NOT_FOUND if neither is there, saying how to make one; INVALID_SETTINGS.
    """
    if settings.admin_api_key is not None:
        return AdminKey(settings.admin_api_key, "ADMIN_API_KEY", settings.environment)
    try:
        version = secrets.access(settings.admin_secret_id)
    except ConvergenceError as error:
        if error.code is not ErrorCode.NOT_FOUND:
            raise
        raise PermanentError(
            ErrorCode.NOT_FOUND,
            "Make an administrators' key first: `python3 scripts/generate_admin_key.py`, then set ADMIN_API_KEY or store "
            f"it as the secret {settings.admin_secret_id}, which has no version.",
            {"secret": settings.admin_secret_id},
        ) from error
    return AdminKey(SecretStr(version.payload.decode("utf-8", "replace")), version.name, settings.environment)


def store(settings: Settings, secrets: Secrets, key: SecretStr) -> str:
    """Put `key` into Secret Manager as the newest version of the environment's secret; the version's name.

    Raises:
        PermanentError: INVALID_SETTINGS if it cannot be a key of this environment.
    """
    check(key, settings.environment, "The new administrators' key")
    secrets.ensure_secret(settings.admin_secret_id, {"managed_by": "convergence-orchestration"})
    return secrets.add_version(settings.admin_secret_id, key.get_secret_value().encode())


def ensure(settings: Settings, secrets: Secrets) -> AdminKey:
    """The key there is, or a fresh one made and stored if there is none."""
    try:
        return read(settings, secrets)
    except PermanentError as error:
        if error.code is not ErrorCode.NOT_FOUND:
            raise
    key = generate_admin_key(settings.environment)
    return AdminKey(key, store(settings, secrets, key), settings.environment)
