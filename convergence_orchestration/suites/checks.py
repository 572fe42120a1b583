"""The suites as Dagster's asset checks on the revision that they asked, and the jobs that run them.

What belongs here: config, finding the revision's address, and reporting to Dagster. What is tested is the suites' own.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import dagster as dg
from pydantic import Field, SecretStr

from convergence_orchestration.audit.runs import actor_of
from convergence_orchestration.audit.trail import AuditTrail
from convergence_orchestration.gcp.resources import BigQueryConnection, reported_failures
from convergence_orchestration.releases.assets import SERVICE_REVISION
from convergence_orchestration.releases.resources import Releases
from convergence_orchestration.suites.model import CaseResult, Outcome, SuiteReport
from convergence_orchestration.suites.releases import Tested, administrators_key, found, record
from convergence_orchestration.suites.running import SUITES, SuiteName, run

if TYPE_CHECKING:
    from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition


class SuiteConfig(dg.Config):
    """What the launchpad asks."""

    environment: str = Field(
        default="", description="development, staging or production; empty: that of this code location."
    )
    release: str = Field(
        default="",
        description="The release that is asked on its tag; empty: whatever serves the environment now.",
    )


def suite_checks() -> list[dg.AssetChecksDefinition]:
    """What `definitions.py` merges: a check for each case of each suite."""
    return [_checks_of(name) for name in SuiteName]


def suite_jobs() -> "list[UnresolvedAssetJobDefinition]":
    """What `definitions.py` merges: `run_local_suite`, `run_staging_suite`, `run_production_suite`."""
    return [
        dg.define_asset_job(
            f"run_{name}_suite",
            selection=dg.AssetSelection.checks(
                *(dg.AssetCheckKey(dg.AssetKey(SERVICE_REVISION), check) for check in _names(name))
            ),
            description=f"Runs the guide's ten {name} tests against a revision. "
            + (
                "It changes nothing."
                if SUITES[name].only_reads
                else "It makes tenants of its own and takes them away again."
            ),
        )
        for name in SuiteName
    ]


def _names(name: SuiteName) -> list[str]:
    return [f"{name}_{case.number:02d}_{case.slug}" for case in SUITES[name].cases]


def _checks_of(name: SuiteName) -> dg.AssetChecksDefinition:
    names = _names(name)
    specs = [
        dg.AssetCheckSpec(
            check, asset=SERVICE_REVISION, description=f"Test {case.number} of the {name} suite: {case.name}."
        )
        for check, case in zip(names, SUITES[name].cases, strict=True)
    ]

    @dg.multi_asset_check(name=f"{name}_suite", specs=specs)
    def suite(
        context: dg.AssetCheckExecutionContext,
        config: SuiteConfig,
        releases: Releases,
        bigquery: BigQueryConnection,
        audit: dg.ResourceParam[AuditTrail],
    ) -> Iterator[dg.AssetCheckResult]:
        with reported_failures():
            environment = releases.environment(config.environment)
            with releases.opened(environment, bigquery, audit) as site:
                tested = found(site, config.release)
                key = None if SUITES[name].only_reads else administrators_key(site.settings)
                report = _run(context, name, tested, key, site.settings.run_authority_file)
                record(site, tested, name, report, actor_of(context.run.tags).name, context.run.run_id)
        for check, result in zip(names, report.results, strict=True):
            yield _shown(check, result, tested)

    return suite


def _run(
    context: dg.AssetCheckExecutionContext,
    name: SuiteName,
    tested: Tested,
    key: SecretStr | None,
    authority_file: str | None,
) -> SuiteReport:
    def told(result: CaseResult) -> None:
        context.log.info("%02d %s: %s %s", result.number, result.name, result.outcome, result.detail)

    report = run(name, tested.target(key, authority_file), lambda: datetime.now(UTC), told)
    if report.left_behind:
        context.log.warning("These tenants are to be offboarded by hand: %s", ", ".join(report.left_behind))
    return report


def _shown(check: str, result: CaseResult, tested: Tested) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        asset_key=SERVICE_REVISION,
        check_name=check,
        passed=result.outcome is Outcome.PASSED,
        severity=dg.AssetCheckSeverity.ERROR,
        description=result.detail or "As expected.",
        metadata={
            "revision": tested.revision,
            "address": dg.MetadataValue.url(tested.url),
            "seconds": round(result.seconds, 3),
        },
    )
