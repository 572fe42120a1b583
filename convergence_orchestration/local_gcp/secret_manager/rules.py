"""What a secret may look like.

What belongs here: checks of a secret that is created or changed, and the defaults of what was left out. No rows, no time but
the one passed in.
"""

import re
from collections.abc import Mapping
from datetime import datetime, timedelta

from google.cloud.secretmanager_v1 import Secret

from convergence_orchestration.local_gcp.fields import require_labels
from convergence_orchestration.local_gcp.refusals import invalid, not_served
from convergence_orchestration.local_gcp.secret_manager.names import ALIAS, RESERVED_ALIASES

CHANGEABLE = frozenset(
    {
        "annotations",
        "expire_time",
        "labels",
        "rotation",
        "rotation.next_rotation_time",
        "rotation.rotation_period",
        "topics",
        "ttl",
        "version_aliases",
        "version_destroy_ttl",
    }
)
_MAX_ALIASES = 50
_MAX_TOPICS = 10
_MAX_ANNOTATION_BYTES = 16 * 1024
_ANNOTATION_KEY = re.compile(r"[a-zA-Z0-9]([a-zA-Z0-9_.-]{0,61}[a-zA-Z0-9])?")
_TOPIC = re.compile(r"projects/[^/]+/topics/[^/]+")
_SHORTEST_ROTATION = timedelta(hours=1)
_LONGEST_ROTATION = timedelta(days=36_500)
_SHORTEST_DESTROY_TTL = timedelta(hours=24)
_LONGEST_DESTROY_TTL = timedelta(days=1000)


def new_secret(asked: Secret, name: str, etag: str, now: datetime) -> Secret:
    """The secret that a creation makes.

    Raises:
        Refusal: INVALID_ARGUMENT or UNIMPLEMENTED.
    """
    if not Secret.pb(asked).replication.WhichOneof("replication"):
        invalid("secret.replication must be provided.")
    if asked.secret_type or asked.customer_managed_encryption:
        not_served("A typed secret or a secret under a customer-managed key")
    secret = Secret(asked)
    secret.name, secret.create_time, secret.etag = name, now, etag
    secret.tags = {}  # input only
    require_valid(secret, now)
    return secret


def require_valid(secret: Secret, now: datetime) -> None:
    """Check what holds for a new secret and for a changed one; a `ttl` becomes the time at which it ends.

    Raises:
        Refusal: INVALID_ARGUMENT.
    """
    require_labels(secret.labels)
    _require_annotations(secret.annotations)
    _require_aliases(secret.version_aliases)
    if len(secret.topics) > _MAX_TOPICS or any(
        _TOPIC.fullmatch(topic.name) is None for topic in secret.topics
    ):
        invalid("secret.topics must be at most 10 of the form projects/*/topics/*.")
    if "ttl" in secret:
        secret.expire_time = now + secret.ttl
    if secret.expire_time and secret.expire_time <= now:
        invalid("secret.expire_time must be in the future.")
    if "rotation" in secret:
        _require_rotation(secret)
    if secret.version_destroy_ttl and not (
        _SHORTEST_DESTROY_TTL <= secret.version_destroy_ttl <= _LONGEST_DESTROY_TTL
    ):
        invalid("secret.version_destroy_ttl must be between 24 hours and 1000 days.")


def _require_annotations(annotations: Mapping[str, str]) -> None:
    for key in annotations:
        if _ANNOTATION_KEY.fullmatch(key) is None:
            invalid(
                f"Annotation key [{key}] must begin and end with a letter or digit and have at most 63 characters."
            )
    size = sum(len(key.encode()) + len(value.encode()) for key, value in annotations.items())
    if size > _MAX_ANNOTATION_BYTES:
        invalid(f"The annotations have {size} bytes; at most {_MAX_ANNOTATION_BYTES} are allowed.")


def _require_aliases(aliases: Mapping[str, int]) -> None:
    if len(aliases) > _MAX_ALIASES:
        invalid(f"No more than {_MAX_ALIASES} aliases can be assigned to a secret.")
    for alias in aliases:
        if re.fullmatch(ALIAS, alias) is None or alias in RESERVED_ALIASES:
            invalid(f"Version alias [{alias}] must match {ALIAS} and be neither latest nor NEW.")


def _require_rotation(secret: Secret) -> None:
    if not secret.topics:
        invalid("secret.topics must be set where secret.rotation is.")
    if not secret.rotation.next_rotation_time:
        invalid("secret.rotation.next_rotation_time must be set.")
    period = secret.rotation.rotation_period
    if period and not _SHORTEST_ROTATION <= period <= _LONGEST_ROTATION:
        invalid("secret.rotation.rotation_period must be between 1 hour and 100 years.")
