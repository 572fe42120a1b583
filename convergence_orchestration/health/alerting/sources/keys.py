"""In how many days keys are to be rotated: administrators' keys, and the KMS key that seals tenants' keys.

What belongs here: reading when each was made, and the difference. When a key is due is the administrators' own model.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta

from convergence_orchestration.gcp.kms import Kms
from convergence_orchestration.gcp.secret_versions import SecretVersions
from convergence_orchestration.gcp.secrets import Secrets
from convergence_orchestration.health.alerting.model import Metric, Observation, Seen
from convergence_orchestration.keys.admins.model import judge_age, secret_id_of
from convergence_orchestration.keys.admins.upkeep import administrators
from convergence_orchestration.settings import Settings

NAME = "key_rotation"
_DAY = timedelta(days=1)


def read_keys(settings: Settings, secrets: Secrets, kms: Kms, now: datetime) -> Seen:
    """How every key stands.

    Raises:
        ConvergenceError: Secret Manager or Cloud KMS does not answer.
    """
    found = (*_of_administrators(settings, secrets, now), *_of_crypto_key(settings, kms, now))
    return Seen(found, frozenset({Metric.KEY_ROTATION_DAYS_LEFT}))


def _of_administrators(settings: Settings, secrets: Secrets, now: datetime) -> Iterator[Observation]:
    rotation = timedelta(days=settings.admin_key_rotation_days)
    for name in administrators(settings, secrets):
        secret_id = secret_id_of(settings.environment, name)
        if SecretVersions(secrets).secret(secret_id) is None:
            continue  # there is no such key, and so none to rotate
        due = judge_age(SecretVersions(secrets).versions(secret_id), now, rotation).due_at
        yield days_left(settings.environment.value, f"secret {secret_id}", due, now)


def _of_crypto_key(settings: Settings, kms: Kms, now: datetime) -> Iterator[Observation]:
    found = kms.find_crypto_key()
    if found is not None:
        subject = f"key {settings.crypto_key_name.rpartition('/')[2]}"
        yield days_left(settings.environment.value, subject, found.next_rotation, now)


def days_left(environment: str, subject: str, due: datetime | None, now: datetime) -> Observation:
    """How long until it is due; unknown of what is never due, which is for the preparation of the environment to say."""
    if due is None:
        return Observation(Metric.KEY_ROTATION_DAYS_LEFT, environment, subject, None)
    words = f"It is due on {due:%Y-%m-%d}."
    return Observation(Metric.KEY_ROTATION_DAYS_LEFT, environment, subject, (due - now) / _DAY, words)
