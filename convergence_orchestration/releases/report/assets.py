"""The report of a release, as Dagster's catalogue shows it: the asset `release_report`, one partition for each release.

What belongs here: the asset's words, the job that makes it anew, and telling Dagster about one. What is in it is `writing.py`.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg
from pydantic import Field

from convergence_orchestration.gcp.resources import BigQueryConnection, reported_failures
from convergence_orchestration.releases.assets import (
    RELEASES,
    RELEASES_GROUP,
    SERVICE_REVISION,
    partition_of,
    releases_partitions,
)
from convergence_orchestration.releases.model import ReleaseId, parse_release_id
from convergence_orchestration.releases.resources import Releases

if TYPE_CHECKING:
    from convergence_orchestration.releases.traffic.scene import Scene

RELEASE_REPORT = "release_report"
REPORT_JOB = "report_release"
REPORTS = "reports"
"""The directory of the pages, in Dagster's home."""


class ReportConfig(dg.Config):
    """What the launchpad asks."""

    environment: str = Field(
        default="", description="development, staging or production; empty: that of this code location."
    )
    release: str = Field(description="Which release.")


@dg.op
def write_report(
    context: dg.OpExecutionContext, config: ReportConfig, bigquery: BigQueryConnection, releases: Releases
) -> None:
    """The report of one release as it stands now."""
    with reported_failures(), releases.scene(releases.environment(config.environment), bigquery) as scene:
        materialize_report(context, scene, parse_release_id(config.release))


@dg.job(
    name=REPORT_JOB,
    description="Writes the report of a release anew: one page with pictures. A release that ends is reported by itself.",
)
def report_release() -> None:
    """The one op, so that it can be launched by name."""
    write_report()


def report_config(environment: str, release_id: ReleaseId) -> dict[str, object]:
    """The run config of `report_release` for one release."""
    return {"ops": {write_report.name: {"config": {"environment": environment, "release": release_id}}}}


def report_jobs() -> list[dg.JobDefinition]:
    """What `definitions.py` merges."""
    return [report_release]


def report_assets() -> list[dg.AssetSpec]:
    """What `definitions.py` merges."""
    return [
        dg.AssetSpec(
            RELEASE_REPORT,
            deps=[dg.AssetDep(SERVICE_REVISION)],
            group_name=RELEASES_GROUP,
            kinds={"python"},
            partitions_def=releases_partitions,
            description="A release on one page: traffic by revision over time, errors and latency of both revisions, who decided "
            "what and why, and how many requests were harmed. Made when the release ends, again some minutes later, and by `report_release`.",
        )
    ]


def materialize_report(context: dg.OpExecutionContext, scene: "Scene", release_id: ReleaseId) -> None:
    """Write the page, and show it in the catalogue.

    Raises:
        ConvergenceError: what it tells could not be read.
    """
    from convergence_orchestration.releases.report.writing import report_on, write  # noqa: PLC0415 draws: dear to import

    report = report_on(scene, release_id)
    path = write(report, Path(context.instance.root_directory) / REPORTS)
    partition = partition_of(scene.environment, release_id)
    context.instance.add_dynamic_partitions(RELEASES, [partition])
    story = report.story
    context.log_event(
        dg.AssetMaterialization(
            RELEASE_REPORT,
            partition=partition,
            metadata={
                "release": story.release_id,
                "state": story.state,
                "requests_harmed": story.harm.total if story.was_measured else "unknown",
                "link": dg.MetadataValue.url(scene.run.console_url(scene.service)),
                "page": dg.MetadataValue.path(path),
                "report": dg.MetadataValue.md(report.markdown),
            },
        )
    )
