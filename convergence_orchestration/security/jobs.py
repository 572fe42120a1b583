"""The jobs of the review: reviewing, and signing the last one.

What belongs here: config and ops. A signature is a row of the audit log and of the run's own storage: it changes nothing else.
"""

from typing import TYPE_CHECKING

import dagster as dg
from pydantic import Field

from convergence_orchestration.audit.model import AuditEntry, Outcome, Target
from convergence_orchestration.audit.runs import actor_of
from convergence_orchestration.audit.trail import AuditTrail
from convergence_orchestration.environment.resources import Environments
from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.gcp.resources import reported_failures
from convergence_orchestration.security.assets import DIGEST, REVIEW
from convergence_orchestration.settings import Environment

if TYPE_CHECKING:
    from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

SIGNED = "security.iam_review_signed"
_LONGEST = 200

review_iam = dg.define_asset_job(
    name="review_iam",
    selection=dg.AssetSelection.assets(REVIEW),
    description="Compares who may do what in the chosen environment with its baseline. A schedule runs it every quarter.",
)


class SignConfig(dg.Config):
    """What the launchpad asks."""

    name: str = Field(description="Who has looked at the review.")
    note: str = Field(default="", description="What was decided about each difference.")
    environment: str = Field(
        default="", description="development, staging or production; empty: that of this code location."
    )


@dg.op(description="Records that somebody has looked at the last review of an environment, by name.")
def sign_review(
    context: dg.OpExecutionContext,
    config: SignConfig,
    environments: Environments,
    audit: dg.ResourceParam[AuditTrail],
) -> None:
    """One row: who, which review, what was decided."""
    with reported_failures():
        environment = _environment(config.environment or environments.own)
        name, note = _text(config.name, "name"), config.note.strip()
        reviewed = _last_review(context.instance, environment)
        details = {"name": name, "note": note[:_LONGEST], "environment": environment, **reviewed}
        audit.append(
            AuditEntry(
                action=SIGNED,
                actor=actor_of(context.run.tags),
                outcome=Outcome.SUCCEEDED,
                target=Target("iam_review", reviewed[DIGEST]),
                details=details,
                run_id=context.run_id,
            )
        )
    context.add_output_metadata(details)
    context.log.info("%s signed the review %s of %s.", name, reviewed[DIGEST], environment)


@dg.job(
    name="sign_iam_review", description="Signs the last review of an environment: a row of the audit log."
)
def sign_iam_review() -> None:
    """The one op, so that it can be launched by name."""
    sign_review()


def _last_review(instance: dg.DagsterInstance, environment: str) -> dict[str, str]:
    """The digest of the newest review, and the run that made it.

    Raises:
        PermanentError: FAILED_PRECONDITION, there is none.
    """
    wanted = dg.AssetRecordsFilter(asset_key=dg.AssetKey(REVIEW), asset_partitions=[environment])
    records = instance.fetch_materializations(wanted, limit=1).records
    made = records[0].asset_materialization if records else None
    if made is None:
        raise PermanentError(
            ErrorCode.FAILED_PRECONDITION,
            f"Review first, with the job `review_iam` of {environment}: there is no review to sign.",
        )
    return {DIGEST: str(made.metadata[DIGEST].value), "review_run_id": records[0].run_id}


def _environment(text: str) -> str:
    if text not in Environment:
        raise PermanentError(
            ErrorCode.INVALID_ARGUMENT,
            f"Name an environment, one of {', '.join(Environment)}.",
            {"field": "environment"},
        )
    return text


def _text(text: str, field: str) -> str:
    if not text.strip() or len(text) > _LONGEST:
        raise PermanentError(
            ErrorCode.INVALID_ARGUMENT, f"Give a {field} of 1 to {_LONGEST} characters.", {"field": field}
        )
    return text.strip()


def security_jobs() -> "list[UnresolvedAssetJobDefinition | dg.JobDefinition]":
    """What `definitions.py` merges."""
    return [review_iam, sign_iam_review]
