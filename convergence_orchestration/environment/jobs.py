"""The jobs on environments: preparing one, looking after its administrators' keys, rotating one of these.

What belongs here: config, and reporting to Dagster, which stores all it is shown: never a key.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import Field

from convergence_orchestration.environment.assets import ENVIRONMENT_GROUP, AdminKeyConfig
from convergence_orchestration.environment.resources import Environments
from convergence_orchestration.environment.shown import retired_words, verdict_facts
from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.gcp.resources import reported_failures
from convergence_orchestration.keys.admins.model import UNNAMED
from convergence_orchestration.keys.admins.rotating import Rotated, Rotating, rotate
from convergence_orchestration.keys.admins.upkeep import stand

if TYPE_CHECKING:
    from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

_LONGEST_OVERLAP_HOURS = 720
_RETRIES = dg.RetryPolicy(max_retries=2, delay=2, backoff=dg.Backoff.EXPONENTIAL)

prepare_environment = dg.define_asset_job(
    name="prepare_environment",
    selection=dg.AssetSelection.groups(ENVIRONMENT_GROUP),
    description=(
        "Makes what the chosen environment stands on: key ring, key, the administrators' secret, and the service account's "
        "bindings, which a probe tries. What is as declared stays as it is, so it can be run at any time."
    ),
)

admin_key_rotation = dg.define_asset_job(
    name="admin_key_rotation",
    selection=dg.AssetSelection.assets("admin_key_secret"),
    config=dg.RunConfig(ops={"admin_key_secret": AdminKeyConfig(keep_up=True)}),
    description=(
        "Rotates the administrators' keys of the chosen environment that are due, disables the versions whose overlap is "
        "over, and says how each key stands. A schedule runs it every day."
    ),
)


class RotateConfig(dg.Config):
    """What the launchpad asks."""

    name: str = Field(
        default=UNNAMED,
        description=f"Whose key: a named administrator's, or `{UNNAMED}`, the environment's own.",
    )
    overlap_hours: float = Field(
        default=-1,
        description="So many hours the key before is still accepted; 0 refuses it at once, as after a leak. "
        "-1: ADMIN_KEY_OVERLAP_HOURS.",
    )


@dg.op(
    description="Makes a new version of an administrator's key. It is shown to nobody here: fetch it with `convergence "
    "admin-key reveal`.",
    retry_policy=_RETRIES,
)
def rotate_administrators_key(
    context: dg.OpExecutionContext, config: RotateConfig, environments: Environments
) -> Iterator[Any]:
    """One try at one rotation; the root run's id makes all tries one rotation."""
    now = datetime.now(UTC)
    with reported_failures(), environments.opened(environments.own) as cloud:
        hours = _overlap_hours(config.overlap_hours, cloud.settings.admin_key_overlap_hours)
        run = context.run.root_run_id or context.run_id
        wanted = Rotating(run, config.name, timedelta(hours=hours))
        rotated = rotate(cloud.settings, cloud.secrets, wanted, now)
        verdict = stand(cloud.settings, cloud.secrets, config.name, now).verdict
    context.log.info("Fetch the new key with `convergence admin-key reveal %s`.", config.name)
    facts = {**_facts(config.name, rotated), **verdict_facts(verdict)}
    context.add_output_metadata(facts)
    if config.name == UNNAMED:
        yield dg.AssetMaterialization(
            "admin_key_secret", partition=environments.own, metadata={"action": "changed", **facts}
        )
    yield dg.Output(None)


def _overlap_hours(asked: float, default: float) -> float:
    if asked == -1:
        return default
    if not 0 <= asked <= _LONGEST_OVERLAP_HOURS:
        raise PermanentError(
            ErrorCode.INVALID_ARGUMENT,
            f"Give overlap_hours from 0 to {_LONGEST_OVERLAP_HOURS}, or -1 for the setting.",
            {"field": "overlap_hours"},
        )
    return asked


def _facts(name: str, rotated: Rotated) -> dict[str, str]:
    return {
        "administrator": name,
        "new_version": str(rotated.number),
        "key_before_counts_until": rotated.overlap_ends.isoformat(timespec="seconds"),
        "done": ", ".join(retired_words(rotated.retired)) or "nothing else",
    }


@dg.job(
    name="rotate_admin_key",
    description="Gives an administrator a new key; the one before counts until the overlap is over.",
)
def rotate_admin_key() -> None:
    """The one op, so that it can be launched by name."""
    rotate_administrators_key()


def environment_jobs() -> "list[UnresolvedAssetJobDefinition | dg.JobDefinition]":
    """What `definitions.py` merges."""
    return [prepare_environment, admin_key_rotation, rotate_admin_key]
