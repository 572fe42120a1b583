"""An environment as Dagster assets, one partition for each of development, staging and production.

What belongs here: what Dagster shows and asks. What is done is `preparing.py`, and `keys/admins/upkeep.py` for the keys' age.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

import dagster as dg
from pydantic import Field

from convergence_orchestration.environment.cloud import Cloud
from convergence_orchestration.environment.model import Action, Prepared
from convergence_orchestration.environment.preparing import (
    prepare_bindings,
    prepare_key,
    prepare_key_ring,
    prepare_secret,
    probe,
)
from convergence_orchestration.environment.resources import Environments
from convergence_orchestration.environment.shown import kept_facts, sentence, verdict_facts
from convergence_orchestration.gcp.resources import reported_failures
from convergence_orchestration.keys.admins.model import AgeState
from convergence_orchestration.keys.admins.upkeep import Kept, administrators, keep, stand
from convergence_orchestration.settings import Environment

ENVIRONMENT_GROUP = "environment"
AGE_CHECK = "admin_key_age"

environments_partitions = dg.StaticPartitionsDefinition([each.value for each in Environment])

_RETRIES = dg.RetryPolicy(max_retries=3, delay=30, backoff=dg.Backoff.EXPONENTIAL)


class AdminKeyConfig(dg.Config):
    """What the launchpad asks."""

    keep_up: bool = Field(
        default=False,
        description=(
            "Rotate every administrator's key that is due (ADMIN_KEY_ROTATION_DAYS), disable the versions whose overlap "
            "is over, and destroy those that have been disabled for a week. The daily schedule sets it."
        ),
    )


@dg.asset(
    group_name=ENVIRONMENT_GROUP,
    partitions_def=environments_partitions,
    kinds={"googlecloud"},
    description=(
        "The Cloud KMS key ring of each environment. Made if it is missing; where this service account may not look, "
        "it counts as there if the key in it encrypts. A key ring can never be deleted."
    ),
)
def kms_key_ring(context: dg.AssetExecutionContext, environments: Environments) -> dg.MaterializeResult[None]:
    """Get before create."""
    with reported_failures(), environments.opened(context.partition_key) as cloud:
        return _result(context, [prepare_key_ring(cloud)], cloud.kms.console_url())


@dg.asset(
    deps=[kms_key_ring],
    group_name=ENVIRONMENT_GROUP,
    partitions_def=environments_partitions,
    kinds={"googlecloud"},
    description=(
        "The Cloud KMS key that seals tenants' API keys until they are delivered, rotated every KMS_ROTATION_DAYS. Made if "
        "it is missing, its rotation set again if it drifted, and tried: a probe has to survive encryption and decryption."
    ),
)
def kms_key(context: dg.AssetExecutionContext, environments: Environments) -> dg.MaterializeResult[None]:
    """Get before create, mend what drifted, then try it."""
    with reported_failures(), environments.opened(context.partition_key) as cloud:
        return _result(context, [prepare_key(cloud, _now())], cloud.kms.console_url())


@dg.asset(
    group_name=ENVIRONMENT_GROUP,
    partitions_def=environments_partitions,
    kinds={"googlecloud"},
    check_specs=[
        dg.AssetCheckSpec(
            AGE_CHECK,
            asset="admin_key_secret",
            description="No administrator's key is due for its rotation, or unfit; a warning comes 14 days ahead.",
        )
    ],
    description=(
        "The administrators' keys in Secret Manager: the environment's own, made if there is none, and those of named "
        "administrators. `convergence admin-key reveal` shows the newest one."
    ),
)
def admin_key_secret(
    context: dg.AssetExecutionContext, config: AdminKeyConfig, environments: Environments
) -> dg.MaterializeResult:  # type: ignore[type-arg] # with a check Dagster knows no other spelling
    """A first version if there is none; with `keep_up` all that is due."""
    with reported_failures(), environments.opened(context.partition_key) as cloud:
        prepared = None if config.keep_up and _exists(cloud) else prepare_secret(cloud)
        kept = [_looked_at(context, cloud, name, config) for name in _names(cloud)]
        link = cloud.secret_versions.console_url(cloud.declared.secret_id)
    for each in kept:
        _tell(context, each)
    own = kept[0]
    action = prepared.action if prepared else Action.CHANGED if own.rotated else Action.EXISTED
    return dg.MaterializeResult(
        metadata={
            "action": action.value,
            **verdict_facts(own.verdict),
            "link": dg.MetadataValue.url(link),
            "administrators": _table([kept_facts(each) for each in kept]),
        },
        check_results=[age_result(kept)],
    )


@dg.asset(
    deps=[kms_key, admin_key_secret],
    group_name=ENVIRONMENT_GROUP,
    partitions_def=environments_partitions,
    kinds={"googlecloud"},
    retry_policy=_RETRIES,
    description=(
        "What the API's service account may do: encrypt and decrypt with the key, read the administrators' secret. Missing "
        "bindings are added, all others and their conditions are kept; then a probe is encrypted and decrypted with exactly "
        "that account's rights."
    ),
)
def iam_bindings(context: dg.AssetExecutionContext, environments: Environments) -> dg.MaterializeResult[None]:
    """Read, modify, write under the etag; then the probe."""
    with reported_failures(), environments.opened(context.partition_key) as cloud:
        prepared = prepare_bindings(cloud)
        is_fresh = context.retry_number > 0 or any(each.action is Action.CREATED for each in prepared)
        probed = probe(cloud, is_fresh=is_fresh)
        link = cloud.kms.console_url()
    return _result(context, [*prepared, probed], link)


def age_result(kept: list[Kept]) -> dg.AssetCheckResult:
    """The check's result: an error for a key that is due and was not rotated, a warning for one that soon will be."""
    bad = [each for each in kept if not each.is_well]
    soon = [each for each in kept if each.verdict.state is AgeState.DUE_SOON]
    if bad:
        words = " ".join(each.trouble or _what_to_do(each) for each in bad)
    else:
        words = " ".join(_announcement(each) for each in soon) or "No key is due."
    return dg.AssetCheckResult(
        check_name=AGE_CHECK,
        asset_key="admin_key_secret",
        passed=not bad and not soon,
        severity=dg.AssetCheckSeverity.ERROR if bad else dg.AssetCheckSeverity.WARN,
        description=words,
        metadata={"administrators": _table([kept_facts(each) for each in kept])},
    )


def _names(cloud: Cloud) -> list[str]:
    return administrators(cloud.settings, cloud.secrets)


def _exists(cloud: Cloud) -> bool:
    return cloud.secret_versions.secret(cloud.declared.secret_id) is not None


def _looked_at(context: dg.AssetExecutionContext, cloud: Cloud, name: str, config: AdminKeyConfig) -> Kept:
    if not config.keep_up:
        return stand(cloud.settings, cloud.secrets, name, _now())
    run = context.run.root_run_id or context.run_id
    return keep(cloud.settings, cloud.secrets, name, run, _now())


def _tell(context: dg.AssetExecutionContext, kept: Kept) -> None:
    if not kept.is_well:
        context.log.error("ALERT: %s", kept.trouble or _what_to_do(kept))
    elif kept.verdict.state is AgeState.DUE_SOON:
        context.log.warning(_announcement(kept))
    elif kept.rotated:
        context.log.info(
            "The key of %s was rotated. Fetch it with `convergence admin-key reveal %s`.",
            kept.name,
            kept.name,
        )


def _announcement(kept: Kept) -> str:
    return f"The key of {kept.name} is rotated on {kept.verdict.due_at:%Y-%m-%d}."


def _what_to_do(kept: Kept) -> str:
    if kept.verdict.state is AgeState.MISSING:
        return f"Enable a version of the key of {kept.name}, or rotate it: none is enabled."
    return f"Rotate the key of {kept.name} with the job `rotate_admin_key`: it was due on {kept.verdict.due_at:%Y-%m-%d}."


def _result(
    context: dg.AssetExecutionContext, prepared: list[Prepared], link: str
) -> dg.MaterializeResult[None]:
    for each in prepared:
        context.log.info(sentence(each))
    actions = {each.action for each in prepared}
    action = next((each for each in Action if each in actions), Action.EXISTED)
    changed = [
        {"what": change.what, "found": change.found, "declared": change.declared}
        for each in prepared
        for change in each.changed
    ]
    return dg.MaterializeResult(
        metadata={
            "action": action.value,
            "name": prepared[0].name,
            "note": " ".join(each.note for each in prepared),
            "link": dg.MetadataValue.url(link),
            **({"changed": _table(changed)} if changed else {}),
        }
    )


def _table(rows: Iterable[Mapping[str, str]]) -> dg.TableMetadataValue:
    records = [dict(row) for row in rows]
    return dg.TableMetadataValue(
        records=[dg.TableRecord(row) for row in records],
        schema=dg.TableSchema(columns=[dg.TableColumn(name) for name in records[0]]),
    )


def _now() -> datetime:
    return datetime.now(UTC)


def environment_assets() -> list[dg.AssetsDefinition]:
    """What `definitions.py` merges."""
    return [kms_key_ring, kms_key, admin_key_secret, iam_bindings]
