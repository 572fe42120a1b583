"""What an environment has, beside what it is declared to have. Nothing is changed.

What belongs here: looking. What cannot be seen is said to be unknown, never to be missing.
"""

from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial

from convergence_orchestration.environment.cloud import Cloud
from convergence_orchestration.environment.model import LOOKER, READER, SEALER, Difference
from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.gcp.policies import Policies
from convergence_orchestration.keys.admins.model import counting

_MISSING = "missing"
_UNKNOWN = "unknown: this account may not look"


def looked_at(cloud: Cloud) -> Iterator[Difference]:
    """Each thing with what is declared and what was found; most are no difference.

    Raises:
        ConvergenceError: a service does not answer.
    """
    declared, metadata = cloud.declared, cloud.secret_versions
    wanted = f"ENCRYPT_DECRYPT, ENABLED, every {declared.rotation / timedelta(days=1):g} days"
    yield Difference(f"key {declared.crypto_key_name}", _seen(lambda: _key(cloud)), wanted)
    yield Difference(
        f"secret {metadata.name(declared.secret_id)}", _seen(lambda: _secret(cloud)), "an enabled version"
    )
    places: tuple[tuple[Policies, str, str], ...] = (
        (cloud.kms.policies, declared.crypto_key_name, SEALER),
        (metadata.policies, metadata.name(declared.secret_id), READER),
        (metadata.policies, metadata.name(declared.secret_id), LOOKER),
    )
    for policies, resource, role in places:
        found = _seen(partial(_bound, cloud, policies, resource, role))
        yield Difference(f"{role} on {resource.rpartition('/')[2]}", found, declared.service_account)


def _key(cloud: Cloud) -> str:
    found = cloud.kms.find_crypto_key()
    if found is None:
        return _MISSING
    rotation = f"every {found.rotation / timedelta(days=1):g} days" if found.rotation else "never rotated"
    return f"{found.purpose}, {found.primary_state}, {rotation}"


def _secret(cloud: Cloud) -> str:
    current = counting(cloud.secret_versions.versions(cloud.declared.secret_id), (), timedelta()).current
    return f"version {current.number}, enabled" if current else "no enabled version"


def _bound(cloud: Cloud, policies: Policies, resource: str, role: str) -> str:
    is_there = policies.has_binding(resource, role, cloud.declared.member)
    return cloud.declared.service_account if is_there else _MISSING


def _seen(look: Callable[[], str]) -> str:
    try:
        return look()
    except PermanentError as error:
        if error.code is ErrorCode.NOT_FOUND:
            return _MISSING
        if error.code is ErrorCode.PERMISSION_DENIED:
            return _UNKNOWN
        raise
