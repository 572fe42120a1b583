"""The review as a Dagster asset, one partition for each environment.

What belongs here: what Dagster shows. What is found is `reviewing.py`.
"""

from collections.abc import Sequence
from datetime import UTC, datetime

import dagster as dg

from convergence_orchestration.environment.assets import environments_partitions
from convergence_orchestration.environment.resources import Environments
from convergence_orchestration.gcp.resources import reported_failures
from convergence_orchestration.security.baseline import baseline_of
from convergence_orchestration.security.model import Line, Review, Verdict

SECURITY_GROUP = "security"
REVIEW = "iam_review"
DIGEST = "digest"
AS_DECLARED = "as_declared"
_COLUMNS = ("verdict", "subject", "role", "member", "note", "cure")


@dg.asset(
    name=REVIEW,
    group_name=SECURITY_GROUP,
    partitions_def=environments_partitions,
    kinds={"googlecloud"},
    check_specs=[
        dg.AssetCheckSpec(
            AS_DECLARED, asset=REVIEW, description="Nobody has a role that the baseline does not give."
        )
    ],
    description=(
        "Who has which role on the project, the key, the administrators' secret, the central dataset and the API's service, "
        "beside the baseline (`security/baselines/`); audit logging, VPC Service Controls and Cloud Armor where the "
        "environment asks for them; the age of administrators' keys. Every quarter; sign it with `convergence iam-review sign`."
    ),
)
def iam_review(context: dg.AssetExecutionContext, environments: Environments) -> dg.MaterializeResult:  # type: ignore[type-arg] # as in environment/assets.py
    """Look, compare, show."""
    from convergence_orchestration.security.reviewing import review  # noqa: PLC0415 with Google's libraries

    with reported_failures(), environments.opened(context.partition_key) as cloud:
        found = review(cloud, baseline_of(cloud.settings.environment), datetime.now(UTC))
    for line in found.lines:
        if line.verdict.is_difference:
            context.log.warning(
                "%s: %s %s on %s. %s", line.verdict, line.member, line.role, line.subject, line.cure
            )
    return dg.MaterializeResult(
        metadata={
            DIGEST: found.digest,
            "differences": found.count(Verdict.UNEXPECTED, Verdict.MISSING),
            "unknown": found.count(Verdict.UNKNOWN),
            "to look at": markdown(found),
            "review": _table(found.lines),
        },
        check_results=[_check(found)],
    )


def markdown(found: Review) -> dg.MarkdownMetadataValue:
    """What somebody has to look at, with the commands."""
    rows = [
        f"| **{line.verdict}** | {line.subject} | {line.role} | {line.member} | {line.note} | `{line.cure}` |"
        for line in found.lines
        if line.verdict.is_difference or line.verdict is Verdict.UNKNOWN
    ]
    head = ["| verdict | what | role | member | note | command |", "| --- | --- | --- | --- | --- | --- |"]
    return dg.MetadataValue.md("\n".join([*head, *rows]) if rows else "Everything is as declared.")


def _check(found: Review) -> dg.AssetCheckResult:
    unexpected, missing = found.count(Verdict.UNEXPECTED), found.count(Verdict.MISSING)
    unknown = found.count(Verdict.UNKNOWN)
    return dg.AssetCheckResult(
        check_name=AS_DECLARED,
        asset_key=REVIEW,
        passed=not (unexpected or missing or unknown),
        severity=dg.AssetCheckSeverity.ERROR if unexpected or missing else dg.AssetCheckSeverity.WARN,
        description=f"{unexpected} unexpected, {missing} missing, {unknown} unknown.",
    )


def _table(lines: Sequence[Line]) -> dg.TableMetadataValue:
    return dg.MetadataValue.table(
        [dg.TableRecord({name: str(getattr(line, name)) for name in _COLUMNS}) for line in lines],
        dg.TableSchema(columns=[dg.TableColumn(name) for name in _COLUMNS]),
    )


def security_assets() -> list[dg.AssetsDefinition]:
    """What `definitions.py` merges."""
    return [iam_review]
