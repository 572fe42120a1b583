"""The jobs that look after sealed copies: `sweep_sealed_keys` and `reseal_keys`.

What belongs here: reporting to Dagster: key ids and counts, never a key. What is done is `sweeping.py` and `resealing.py`.
"""

from datetime import UTC, datetime

import dagster as dg

from convergence_orchestration.audit.runs import actor_of
from convergence_orchestration.audit.trail import AuditTrail
from convergence_orchestration.gcp.resources import (
    BigQueryConnection,
    KmsConnection,
    SecretManagerConnection,
    reported_failures,
)
from convergence_orchestration.keys.resources import KeyStoresApi
from convergence_orchestration.keys.upkeep.resealing import reseal
from convergence_orchestration.keys.upkeep.sweeping import Sweeper, sweep

_RETRIES = dg.RetryPolicy(max_retries=2, delay=2, backoff=dg.Backoff.EXPONENTIAL)


@dg.op(
    description="Wipes the sealed copies that nobody may fetch any more, revokes the keys that nobody fetched, and deletes the "
    "bytes of copies that are gone.",
    retry_policy=_RETRIES,
)
def sweep_copies(
    context: dg.OpExecutionContext,
    bigquery: BigQueryConnection,
    secret_manager: SecretManagerConnection,
    key_stores: KeyStoresApi,
    audit: dg.ResourceParam[AuditTrail],
) -> None:
    """One pass."""
    by = Sweeper(actor_of(context.run.tags).name, context.run_id)
    with reported_failures():
        swept = sweep(key_stores.over(bigquery, secret_manager, audit), by, datetime.now(UTC))
    for key in swept.ended:
        context.log.warning(
            "Nobody fetched %s of %s: it is revoked, issue another.", key.key_id, key.tenant_id
        )
    context.add_output_metadata(
        {
            "revoked": dg.MetadataValue.json([key.key_id for key in swept.ended]),
            "wiped": dg.MetadataValue.json({due.key_id: due.reason for due in swept.wiped}),
            "shredded": dg.MetadataValue.json(list(swept.shredded)),
        }
    )


@dg.op(
    description="Opens the sealed copies that an older version of the KMS key sealed, and seals them with the primary one.",
    retry_policy=_RETRIES,
)
def reseal_copies(
    context: dg.OpExecutionContext,
    bigquery: BigQueryConnection,
    kms: KmsConnection,
    secret_manager: SecretManagerConnection,
    key_stores: KeyStoresApi,
    audit: dg.ResourceParam[AuditTrail],
) -> None:
    """One pass; it fails at its end if a copy could not be sealed anew, when all others are."""
    with reported_failures():
        done = reseal(key_stores.over(bigquery, secret_manager, audit).copies, kms.kms())
        context.add_output_metadata(
            {
                "primary": done.primary,
                "resealed": dg.MetadataValue.json(list(done.renewed)),
                "failed": dg.MetadataValue.json(
                    {key_id: str(error.code) for key_id, error in done.failed.items()}
                ),
            }
        )
        for key_id, error in done.failed.items():
            context.log.error("%s could not be sealed anew: %s", key_id, error.message)
        if done.failed:
            raise next(iter(done.failed.values()))


@dg.job(
    name="sweep_sealed_keys",
    description="Wipes sealed copies of keys that are over, were handed over, or were never fetched within a week; the last "
    "are revoked. Harmless at any time.",
)
def sweep_sealed_keys() -> None:
    """The one op, so that it can be launched by name."""
    sweep_copies()


@dg.job(
    name="reseal_keys",
    description="Seals waiting copies anew after the KMS key was rotated. Harmless at any time.",
)
def reseal_keys() -> None:
    """The one op, so that it can be launched by name."""
    reseal_copies()


def upkeep_jobs() -> list[dg.JobDefinition]:
    """What `definitions.py` merges."""
    return [sweep_sealed_keys, reseal_keys]
