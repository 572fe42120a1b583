"""The jobs of keys as Dagster runs them: issue, rotate, revoke one, revoke all of a tenant.

What belongs here: reporting to Dagster, which stores all it is shown: a key's id, never the key or its hash. What is done
is `issuing.py`, `rotating.py` and `revoking.py`; what is asked for is `by_hand/jobs.py`.
"""

from datetime import UTC, datetime

import dagster as dg

from convergence_orchestration.audit.trail import AuditTrail
from convergence_orchestration.gcp.resources import (
    BigQueryConnection,
    KmsConnection,
    SecretManagerConnection,
    reported_failures,
)
from convergence_orchestration.keys.by_hand.jobs import (
    IssueConfig,
    RevokeAllConfig,
    RevokeConfig,
    RotateConfig,
)
from convergence_orchestration.keys.issuing import NewKey, issue
from convergence_orchestration.keys.launches import (
    ISSUE_JOB,
    ISSUE_OP,
    REVOKE_ALL_JOB,
    REVOKE_ALL_OP,
    REVOKE_JOB,
    REVOKE_OP,
    ROTATE_JOB,
    ROTATE_OP,
)
from convergence_orchestration.keys.model import (
    KeyId,
    checked_description,
    key_id_of_run,
    parse_expiry,
    parse_grace,
    parse_key_id,
    parse_scopes,
)
from convergence_orchestration.keys.resources import KeyStoresApi
from convergence_orchestration.keys.revoking import Revocation, revoke, revoke_all
from convergence_orchestration.keys.rotating import Rotation, rotate
from convergence_orchestration.settings import Environment
from convergence_orchestration.tenancy.model import parse_tenant_id

ACTOR_TAG = "convergence/actor"
REQUEST_TAG = "convergence/request_id"
_BY_HAND = "dagster-ui"
_RETRIES = dg.RetryPolicy(max_retries=2, delay=2, backoff=dg.Backoff.EXPONENTIAL)


@dg.op(
    name=ISSUE_OP,
    description="Makes a key, stores its hash and a sealed copy, and records it. The key is shown to nobody here.",
    retry_policy=_RETRIES,
)
def issue_key(
    context: dg.OpExecutionContext,
    config: IssueConfig,
    bigquery: BigQueryConnection,
    kms: KmsConnection,
    secret_manager: SecretManagerConnection,
    key_stores: KeyStoresApi,
    audit: dg.ResourceParam[AuditTrail],
) -> None:
    """One try at issuing one key."""
    with reported_failures():
        asked = _new_key(context, config, Environment(key_stores.environment))
        record = issue(key_stores.over(bigquery, secret_manager, audit), kms.kms(), asked, _now)
    fetch = f"convergence key reveal {record.key_id}"
    context.log.info("Fetch the key once with `%s`.", fetch)
    context.add_output_metadata(
        {
            "key_id": record.key_id,
            "tenant_id": record.tenant_id,
            "how_to_fetch": dg.MetadataValue.md(f"`{fetch}`, once"),
            "scopes": ", ".join(record.scopes),
            "expires_at": _shown(record.expires_at),
        }
    )


@dg.op(
    name=ROTATE_OP,
    description="Makes a key that replaces another; for the time of grace both work. The key is shown to nobody here.",
    retry_policy=_RETRIES,
)
def rotate_key(
    context: dg.OpExecutionContext,
    config: RotateConfig,
    bigquery: BigQueryConnection,
    kms: KmsConnection,
    secret_manager: SecretManagerConnection,
    key_stores: KeyStoresApi,
    audit: dg.ResourceParam[AuditTrail],
) -> None:
    """One try at rotating one key."""
    with reported_failures():
        asked = _rotation(context, config, key_stores.max_grace_seconds)
        rotated = rotate(key_stores.over(bigquery, secret_manager, audit), kms.kms(), asked, _now)
    fetch = f"convergence key reveal {rotated.new.key_id}"
    context.log.info("Fetch the new key once with `%s`.", fetch)
    context.add_output_metadata(
        {
            "key_id": rotated.new.key_id,
            "tenant_id": rotated.new.tenant_id,
            "how_to_fetch": dg.MetadataValue.md(f"`{fetch}`, once"),
            "old_key_id": rotated.old.key_id,
            "old_key_ends_at": _shown(rotated.old.ends_at),
        }
    )


@dg.op(
    name=REVOKE_OP,
    description="Records that a key is revoked and wipes its sealed copy.",
    retry_policy=_RETRIES,
)
def revoke_key(
    context: dg.OpExecutionContext,
    config: RevokeConfig,
    bigquery: BigQueryConnection,
    secret_manager: SecretManagerConnection,
    key_stores: KeyStoresApi,
    audit: dg.ResourceParam[AuditTrail],
) -> None:
    """One try at revoking one key."""
    asked = Revocation(
        key=config.key,
        actor=_actor(context),
        reason=config.reason,
        request_id=context.run.tags.get(REQUEST_TAG),
        run_id=context.run_id,
    )
    with reported_failures():
        record = revoke(key_stores.over(bigquery, secret_manager, audit), asked, _now())
    context.add_output_metadata(
        {
            "key_id": record.key_id,
            "tenant_id": record.tenant_id,
            "revoked_at": record.revoked_at.isoformat() if record.revoked_at else "",
        }
    )


@dg.op(
    name=REVOKE_ALL_OP,
    description="Records that every key of a tenant is revoked and wipes all its sealed copies.",
    retry_policy=_RETRIES,
)
def revoke_keys_of_tenant(
    context: dg.OpExecutionContext,
    config: RevokeAllConfig,
    bigquery: BigQueryConnection,
    secret_manager: SecretManagerConnection,
    key_stores: KeyStoresApi,
    audit: dg.ResourceParam[AuditTrail],
) -> None:
    """One try at revoking all of them; repeated, it finds those that are left."""
    with reported_failures():
        revoked = revoke_all(
            key_stores.over(bigquery, secret_manager, audit),
            parse_tenant_id(config.tenant_id),
            actor=_actor(context),
            reason=config.reason,
            request_id=context.run.tags.get(REQUEST_TAG),
            run_id=context.run_id,
            now=_now(),
        )
    context.add_output_metadata(
        {"tenant_id": config.tenant_id, "revoked": dg.MetadataValue.json(list(revoked))}
    )


@dg.job(
    name=ISSUE_JOB,
    description="Issues a key for a tenant. Afterwards fetch it, once, with `convergence key reveal KEY_ID`.",
)
def issue_tenant_key() -> None:
    """The one op, so that it can be launched by name."""
    issue_key()


@dg.job(
    name=ROTATE_JOB,
    description="Replaces a tenant's key by a new one; for a while both work. Afterwards fetch the new one, once, with "
    "`convergence key reveal KEY_ID`.",
)
def rotate_tenant_key() -> None:
    """The one op, so that it can be launched by name."""
    rotate_key()


@dg.job(
    name=REVOKE_JOB,
    description="Revokes a tenant's key for good; every API process refuses it within seconds.",
)
def revoke_tenant_key() -> None:
    """The one op, so that it can be launched by name."""
    revoke_key()


@dg.job(
    name=REVOKE_ALL_JOB,
    description="Revokes every key of a tenant for good; every API process refuses them within seconds.",
)
def revoke_tenant_keys() -> None:
    """The one op, so that it can be launched by name."""
    revoke_keys_of_tenant()


def key_jobs() -> list[dg.JobDefinition]:
    """The jobs of this domain."""
    return [issue_tenant_key, rotate_tenant_key, revoke_tenant_key, revoke_tenant_keys]


def _new_key(context: dg.OpExecutionContext, config: IssueConfig, environment: Environment) -> NewKey:
    return NewKey(
        key_id=_key_id(context, config.key_id),
        tenant_id=parse_tenant_id(config.tenant_id),
        environment=environment,
        actor=_actor(context),
        description=checked_description(config.description),
        scopes=parse_scopes(config.scopes),
        expires_at=parse_expiry(config.expires_at, _now()),
        request_id=context.run.tags.get(REQUEST_TAG),
        run_id=context.run_id,
        is_repeatable=config.repeatable,
    )


def _rotation(context: dg.OpExecutionContext, config: RotateConfig, longest: int) -> Rotation:
    return Rotation(
        key_id=parse_key_id(config.key_id),
        new_key_id=_key_id(context, config.new_key_id),
        grace=parse_grace(config.grace_seconds, longest),
        actor=_actor(context),
        description=None if config.description is None else checked_description(config.description),
        scopes=None if config.scopes is None else parse_scopes(config.scopes),
        expires_at=parse_expiry(config.expires_at, _now()),
        request_id=context.run.tags.get(REQUEST_TAG),
        run_id=context.run_id,
        is_repeatable=config.repeatable,
    )


def _key_id(context: dg.OpExecutionContext, given: str) -> KeyId:
    return parse_key_id(given) if given else key_id_of_run(context.run.root_run_id or context.run_id)


def _actor(context: dg.OpExecutionContext) -> str:
    return context.run.tags.get(ACTOR_TAG, _BY_HAND)


def _shown(end: datetime | None) -> str:
    return end.isoformat() if end else "never"


def _now() -> datetime:
    return datetime.now(UTC)
