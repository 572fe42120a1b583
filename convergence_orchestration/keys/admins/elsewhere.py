"""Whether another environment of the same project has the same administrators' key, which is refused.

What belongs here: the comparison. Our own keys carry their environment, so `keys/admin.py` refuses them by their form; the
guide's `admin_...` keys do not, and their SHA-256 is compared. What cannot be read is unknown, which is not "the same".
"""

import hmac
from collections.abc import Iterator
from hashlib import sha256

from pydantic import SecretStr

from convergence_orchestration.errors import ConvergenceError, ErrorCode, PermanentError, TransientError
from convergence_orchestration.gcp.secret_versions import SecretVersions, VersionState
from convergence_orchestration.gcp.secrets import Secrets
from convergence_orchestration.keys.admins.model import environment_of, secret_prefix
from convergence_orchestration.keys.token import KeyKind
from convergence_orchestration.settings import Environment

_LOOKED_AT = 10  # enabled versions of one secret
_UNREADABLE = frozenset({ErrorCode.PERMISSION_DENIED, ErrorCode.NOT_FOUND, ErrorCode.FAILED_PRECONDITION})


def refuse_shared(
    secrets: Secrets, environment: Environment, key: SecretStr, *, is_patient: bool = False
) -> None:
    """Refuse a key that an administrator of another environment has.

    Args:
        secrets: of the project that both would be in.
        environment: whose key it is to be.
        key: the key.
        is_patient: go on if Secret Manager does not answer; what it would have said is then unknown.

    Raises:
        PermanentError: INVALID_SETTINGS, naming the other secret.
        TransientError: Secret Manager does not answer.
    """
    text = key.get_secret_value()
    if text.startswith(f"{KeyKind.ADMIN}_"):
        return
    digest = sha256(text.encode()).digest()
    try:
        same = next((found for found, other in _others(secrets, environment) if _is(other, digest)), None)
    except TransientError:
        if not is_patient:
            raise
        return
    if same is not None:
        raise PermanentError(
            ErrorCode.INVALID_SETTINGS,
            f"Use another administrators' key for {environment}: secret {same} of another environment holds this one. Make "
            f"one with `python3 scripts/generate_admin_key.py --environment {environment}`.",
            {"secret": same},
        )


def _is(payload: bytes, digest: bytes) -> bool:
    return hmac.compare_digest(sha256(payload).digest(), digest)


def _others(secrets: Secrets, environment: Environment) -> Iterator[tuple[str, bytes]]:
    """Each key of other environments that can be read, with the name of its secret."""
    metadata = SecretVersions(secrets)
    for secret_id in _secret_ids(metadata, environment):
        for version in _versions(metadata, secret_id):
            try:
                yield secret_id, secrets.access(secret_id, version).payload
            except ConvergenceError as error:
                if error.code not in _UNREADABLE:
                    raise


def _secret_ids(metadata: SecretVersions, environment: Environment) -> list[str]:
    try:
        found = [each.secret_id for each in metadata.secrets_named("admin-api-key-")]
    except PermanentError as error:
        if error.code not in _UNREADABLE:
            raise
        found = [secret_prefix(each) for each in Environment]
    return [each for each in found if environment_of(each) not in {None, environment}]


def _versions(metadata: SecretVersions, secret_id: str) -> list[str]:
    try:
        found = metadata.versions(secret_id)
    except PermanentError as error:
        if error.code not in _UNREADABLE:
            raise
        return ["latest"]
    return [str(each.number) for each in found if each.state is VersionState.ENABLED][:_LOOKED_AT]
