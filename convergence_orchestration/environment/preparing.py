"""Preparing an environment, step by step: the Dagster assets, `convergence environment prepare` and `convergence up` call these.

What belongs here: the steps. Each can be repeated and cut off anywhere; what is as declared is left alone. In staging and
production the guide has people make ring and key and grants the service account encryption alone. Such an account may not even
look whether the key exists; that it encrypts is proof enough.
"""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

from convergence_orchestration.environment.cloud import Cloud, sealing_as
from convergence_orchestration.environment.grants import grant_on_key, grant_on_secret
from convergence_orchestration.environment.model import (
    LOOKER,
    READER,
    SEALER,
    Action,
    Difference,
    Prepared,
)
from convergence_orchestration.errors import ErrorCode, PermanentError, TransientError
from convergence_orchestration.gcp.kms import Kms
from convergence_orchestration.keys import admin
from convergence_orchestration.keys.admins.elsewhere import refuse_shared

_UNSEEN = "This service account may not look at it; it is there, for the key in it encrypts."
_SPREADING_SECONDS = 60.0
"""Google spreads a new binding in a minute or two, seven at most."""


def prepare_key_ring(cloud: Cloud) -> Prepared:
    """Make sure that the key ring exists.

    Raises:
        PermanentError: PERMISSION_DENIED if this service account may neither look nor encrypt.
    """
    return _or_unseen(cloud.kms, cloud.kms.key_ring_name, lambda: _ring(cloud.kms))


def prepare_key(cloud: Cloud, now: datetime) -> Prepared:
    """Make sure that the key exists, encrypts, and is rotated as declared.

    Raises:
        PermanentError: FAILED_PRECONDITION if a key of that name cannot encrypt; PERMISSION_DENIED.
    """
    prepared = _or_unseen(
        cloud.kms, cloud.kms.crypto_key_name, lambda: _key(cloud.kms, cloud.declared.rotation, now)
    )
    cloud.kms.works()
    return prepared


def prepare_secret(cloud: Cloud) -> Prepared:
    """Make sure that there is an administrators' key that can be one of this environment; a first one is made.

    Raises:
        PermanentError: INVALID_SETTINGS if the key there is unfit or another environment's, FAILED_PRECONDITION if no
            version is enabled, PERMISSION_DENIED.
    """
    settings = cloud.settings.model_copy(update={"admin_api_key": None})  # the secret is what is prepared
    had_one = _has_version(cloud)
    key = admin.ensure(settings, cloud.secrets)
    refuse_shared(cloud.secrets, settings.environment, key.key)
    return Prepared(key.source, Action.EXISTED if had_one else Action.CREATED)


def prepare_bindings(cloud: Cloud) -> list[Prepared]:
    """Make sure that the service account may seal with the key and read the administrators' secret.

    Raises:
        PermanentError: PERMISSION_DENIED, with the command that grants what is missing.
        TransientError: others change a policy again and again.
    """
    declared, metadata = cloud.declared, cloud.secret_versions
    secret = metadata.name(declared.secret_id)
    wanted = [
        (cloud.kms.policies, declared.crypto_key_name, SEALER, grant_on_key(declared)),
        (metadata.policies, secret, READER, _on_secret(cloud, declared.secret_id, READER)),
        (metadata.policies, secret, LOOKER, _on_secret(cloud, declared.secret_id, LOOKER)),
    ]
    prepared = []
    for policies, resource, role, grant in wanted:
        is_new = policies.ensure_binding(resource, role, declared.member, grant)
        change = Difference(role, "not granted", "granted")
        prepared.append(
            Prepared(
                f"{role} on {resource}",
                Action.CREATED if is_new else Action.EXISTED,
                (change,) if is_new else (),
                f"Granted to {declared.service_account}.",
            )
        )
    return prepared


def bind_secret(cloud: Cloud, secret_id: str) -> None:
    """Let the service account read one more administrator's secret.

    Raises:
        PermanentError: PERMISSION_DENIED, with the command that grants it.
    """
    metadata = cloud.secret_versions
    for role in (READER, LOOKER):
        grant = _on_secret(cloud, secret_id, role)
        metadata.policies.ensure_binding(metadata.name(secret_id), role, cloud.declared.member, grant)


def probe(cloud: Cloud, *, is_fresh: bool) -> Prepared:
    """Encrypt and decrypt with exactly the service account's rights.

    Args:
        cloud: the environment.
        is_fresh: a binding was made a moment ago, which Google takes minutes to spread.

    Raises:
        PermanentError: PERMISSION_DENIED, with the command that grants what is missing.
        TransientError: PERMISSION_DENIED may pass, for a binding is fresh; Cloud KMS does not answer.
    """
    account = cloud.declared.service_account
    try:
        with sealing_as(cloud.settings, account) as kms:
            kms.works()
    except PermanentError as error:
        if error.code is not ErrorCode.PERMISSION_DENIED or not is_fresh:
            raise
        raise TransientError(
            ErrorCode.UNAVAILABLE,
            f"Try again in a few minutes, which Google takes to spread a new binding. {error.message}",
            error.details,
            retry_after=_SPREADING_SECONDS,
        ) from error
    return Prepared(cloud.kms.crypto_key_name, Action.TRIED, note=f"{account} encrypts and decrypts with it.")


def prepare(cloud: Cloud, now: datetime) -> Iterator[Prepared]:
    """Every step in its order, each told when it is done."""
    yield prepare_key_ring(cloud)
    yield prepare_key(cloud, now)
    yield prepare_secret(cloud)
    bindings = prepare_bindings(cloud)
    yield from bindings
    yield probe(cloud, is_fresh=any(each.action is Action.CREATED for each in bindings))


def _ring(kms: Kms) -> Prepared:
    return Prepared(kms.key_ring_name, Action.CREATED if kms.ensure_key_ring() else Action.EXISTED)


def _key(kms: Kms, rotation: timedelta, now: datetime) -> Prepared:
    if kms.ensure_crypto_key(now, rotation):
        return Prepared(kms.crypto_key_name, Action.CREATED)
    found = kms.find_crypto_key()
    if found is None or found.rotation == rotation:
        return Prepared(kms.crypto_key_name, Action.EXISTED)
    difference = Difference("rotation period", _days(found.rotation), _days(rotation))
    try:
        kms.set_rotation(rotation, now)
    except PermanentError as error:
        if error.code is not ErrorCode.PERMISSION_DENIED:
            raise
        note = f"It differs: {difference.what} {difference.found}, declared {difference.declared}. {error.message}"
        return Prepared(kms.crypto_key_name, Action.EXISTED, note=note)
    note = "Its rotation is as declared again."
    return Prepared(kms.crypto_key_name, Action.CHANGED, (difference,), note)


def _days(period: timedelta | None) -> str:
    return "never" if period is None else f"{period / timedelta(days=1):g} days"


def _or_unseen(kms: Kms, name: str, ensure: Callable[[], Prepared]) -> Prepared:
    try:
        return ensure()
    except PermanentError as error:
        if error.code is not ErrorCode.PERMISSION_DENIED or not _works(kms):
            raise
        return Prepared(name, Action.EXISTED, note=_UNSEEN)


def _works(kms: Kms) -> bool:
    try:
        return kms.works()
    except PermanentError:
        return False


def _has_version(cloud: Cloud) -> bool:
    try:
        cloud.secrets.access(cloud.declared.secret_id)
    except PermanentError as error:
        return error.code is not ErrorCode.NOT_FOUND
    return True


def _on_secret(cloud: Cloud, secret_id: str, role: str) -> str:
    return grant_on_secret(cloud.declared, cloud.settings.gcp_project_id, secret_id, role)
