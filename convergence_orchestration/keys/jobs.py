"""The jobs of keys as Dagster runs them: `issue_tenant_key` and `revoke_tenant_key`.

What belongs here: config, and reporting to Dagster, which stores all it is shown: a key's id, never the key or its
hash. What is done is `issuing.py` and `revoking.py`.
"""

from datetime import UTC, datetime

import dagster as dg
from pydantic import Field

from convergence_orchestration.audit.trail import AuditTrail
from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.gcp.resources import BigQueryConnection, KmsConnection, reported_failures
from convergence_orchestration.keys.issuing import NewKey, issue
from convergence_orchestration.keys.model import (
    ALL_SCOPES,
    MAX_KEY_DESCRIPTION_LENGTH,
    KeyId,
    key_id_of_run,
    parse_expiry,
    parse_key_id,
    parse_scopes,
)
from convergence_orchestration.keys.revoking import Revocation, revoke
from convergence_orchestration.settings import load_settings
from convergence_orchestration.tenancy.model import parse_tenant_id

ACTOR_TAG = "convergence/actor"
REQUEST_TAG = "convergence/request_id"
_BY_HAND = "dagster-ui"
_RETRIES = dg.RetryPolicy(max_retries=2, delay=2, backoff=dg.Backoff.EXPONENTIAL)


class IssueConfig(dg.Config):
    """What the launchpad asks for."""

    tenant_id: str = Field(description="Whose key it is, for example `acmecorp`; an active tenant.")
    description: str = Field(
        default="",
        description=f"What the key is for, for example `nightly import`; at most {MAX_KEY_DESCRIPTION_LENGTH} characters.",
    )
    scopes: list[str] = Field(
        default=[str(scope) for scope in ALL_SCOPES],
        description=f"What the key may be used for: any of {', '.join(ALL_SCOPES)}. None named means all.",
    )
    expires_at: str = Field(
        default="",
        description="When it ends, in ISO 8601 with its offset, for example `2030-01-31T00:00:00Z`; empty: never.",
    )
    key_id: str = Field(
        default="",
        description="Leave it empty: it is made from the run, so that a re-execution issues the same key, not another.",
    )


class RevokeConfig(dg.Config):
    """What the launchpad asks for."""

    key: str = Field(
        description="The key's id (`key_` and 20 letters and digits) or its SHA-256 in hexadecimal; never the key itself, "
        "for Dagster keeps what is written here."
    )
    reason: str = Field(default="", description="Why, for the ledger, for example `laptop lost`.")


@dg.op(
    description="Makes a key, stores its hash and a copy sealed by KMS, and records it. The key is shown to nobody here.",
    retry_policy=_RETRIES,
)
def issue_key(
    context: dg.OpExecutionContext,
    config: IssueConfig,
    bigquery: BigQueryConnection,
    kms: KmsConnection,
    audit: dg.ResourceParam[AuditTrail],
) -> None:
    """One try at issuing one key."""
    with reported_failures():
        record = issue(bigquery.bigquery(), kms.kms(), _new_key(context, config), _now(), audit=audit)
    fetch = f"convergence key reveal {record.key_id}"
    context.log.info("Fetch the key once with `%s`.", fetch)
    context.add_output_metadata(
        {
            "key_id": record.key_id,
            "tenant_id": record.tenant_id,
            "how_to_fetch": dg.MetadataValue.md(f"`{fetch}`, once"),
            "scopes": ", ".join(record.scopes),
            "expires_at": record.expires_at.isoformat() if record.expires_at else "never",
        }
    )


@dg.op(description="Records that a key is revoked and wipes its sealed copy.", retry_policy=_RETRIES)
def revoke_key(
    context: dg.OpExecutionContext,
    config: RevokeConfig,
    bigquery: BigQueryConnection,
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
        record = revoke(bigquery.bigquery(), asked, _now(), audit=audit)
    context.add_output_metadata(
        {
            "key_id": record.key_id,
            "tenant_id": record.tenant_id,
            "revoked_at": record.revoked_at.isoformat() if record.revoked_at else "",
        }
    )


@dg.job(
    name="issue_tenant_key",
    description="Issues a key for a tenant. Afterwards fetch it, once, with `convergence key reveal KEY_ID`.",
)
def issue_tenant_key() -> None:
    """The one op, so that it can be launched by name."""
    issue_key()


@dg.job(
    name="revoke_tenant_key",
    description="Revokes a tenant's key for good; every API process refuses it within seconds.",
)
def revoke_tenant_key() -> None:
    """The one op, so that it can be launched by name."""
    revoke_key()


def key_jobs() -> list[dg.JobDefinition]:
    """The jobs of this domain."""
    return [issue_tenant_key, revoke_tenant_key]


def _new_key(context: dg.OpExecutionContext, config: IssueConfig) -> NewKey:
    return NewKey(
        key_id=_key_id(context, config),
        tenant_id=parse_tenant_id(config.tenant_id),
        environment=load_settings().environment,
        actor=_actor(context),
        description=_description(config.description),
        scopes=parse_scopes(config.scopes),
        expires_at=parse_expiry(config.expires_at, _now()),
        request_id=context.run.tags.get(REQUEST_TAG),
        run_id=context.run_id,
    )


def _key_id(context: dg.OpExecutionContext, config: IssueConfig) -> KeyId:
    if config.key_id:
        return parse_key_id(config.key_id)
    return key_id_of_run(context.run.root_run_id or context.run_id)


def _description(text: str) -> str:
    if len(text) > MAX_KEY_DESCRIPTION_LENGTH:
        raise PermanentError(
            ErrorCode.INVALID_ARGUMENT,
            f"Shorten description to {MAX_KEY_DESCRIPTION_LENGTH} characters; it has {len(text)}.",
            {"field": "description"},
        )
    return text


def _actor(context: dg.OpExecutionContext) -> str:
    return context.run.tags.get(ACTOR_TAG, _BY_HAND)


def _now() -> datetime:
    return datetime.now(UTC)
