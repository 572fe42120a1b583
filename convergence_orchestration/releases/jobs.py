"""The job that deploys a release, as Dagster runs it.

What belongs here: config, and reporting to Dagster, which stores all it is shown. What is done is `deploying.py`, which is
imported by the op that needs it: Google's clients are dear to import. What people do for its check-list is checklist/jobs.py.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import dagster as dg
from pydantic import Field

from convergence_orchestration.audit.runs import actor_of
from convergence_orchestration.audit.trail import AuditTrail
from convergence_orchestration.errors import ConvergenceError, PermanentError
from convergence_orchestration.gcp.resources import BigQueryConnection, reported_failures
from convergence_orchestration.releases.assets import (
    RELEASES,
    SERVICE_IMAGE,
    SERVICE_REVISION,
    partition_of,
)
from convergence_orchestration.releases.checklist.jobs import ENVIRONMENT_ASKED, checklist_jobs, facts_of
from convergence_orchestration.releases.order import Order, parse_order
from convergence_orchestration.releases.resources import Releases
from convergence_orchestration.settings import Environment

if TYPE_CHECKING:
    from convergence_orchestration.gcp.build import BuiltImage
    from convergence_orchestration.releases.checklist.gate import LastBackup
    from convergence_orchestration.releases.deploying import Deployment
    from convergence_orchestration.releases.revisions import Deployed
    from convergence_orchestration.releases.smoke import SmokeResult

_TRIES = 3
_RETRIES = dg.RetryPolicy(max_retries=_TRIES - 1, delay=5, backoff=dg.Backoff.EXPONENTIAL)


class _Site(NamedTuple):
    """The resources with which a site is opened."""

    releases: Releases
    bigquery: BigQueryConnection
    audit: AuditTrail


class DeployConfig(dg.Config):
    """What the launchpad asks."""

    environment: str = Field(default="", description=ENVIRONMENT_ASKED)
    source: str = Field(
        default="",
        description="What to build: gs://BUCKET/OBJECT.tar.gz, or file:///PATH of a tree on this machine with the local cloud.",
    )
    image: str = Field(
        default="", description="Instead of source: what was built, by digest, REPOSITORY@sha256:..."
    )
    release: str = Field(
        default="",
        description="The release's name, for example v1.0.0; one name is one release in an environment. Empty: one is made up.",
    )
    description: str = Field(default="", description="What is new, for people.")
    overrides: dict[str, str] = Field(
        default_factory=dict,
        description="Items of the check-list that are waived, each with the reason; recorded and audited.",
    )


@dg.op(
    retry_policy=_RETRIES,
    description="Writes the release down and checks what of its check-list does not depend on the image.",
)
def check_release(
    context: dg.OpExecutionContext,
    config: DeployConfig,
    releases: Releases,
    bigquery: BigQueryConnection,
    audit: dg.ResourceParam[AuditTrail],
    last_backup: dg.ResourceParam[Any],
) -> Order:
    """The order, once it may begin."""
    with reported_failures():
        order = _order(context, releases, config)
    with _deployment(context, order, _Site(releases, bigquery, audit), last_backup) as deployment:
        items = deployment.begin()
    key = partition_of(order.environment, order.release_id)
    context.instance.add_dynamic_partitions(RELEASES, [key])
    context.add_output_metadata({**facts_of(order), "items_met": ", ".join(items) or "none wanted"})
    return order


@dg.op(
    retry_policy=_RETRIES,
    description="Builds the image unless it was named, and checks what of the check-list is about it.",
)
def build_service_image(
    context: dg.OpExecutionContext,
    order: Order,
    releases: Releases,
    bigquery: BigQueryConnection,
    audit: dg.ResourceParam[AuditTrail],
    last_backup: dg.ResourceParam[Any],
) -> Any:  # noqa: ANN401 imported late
    """The image."""
    with _deployment(context, order, _Site(releases, bigquery, audit), last_backup) as deployment:
        image = deployment.image()
    facts = {"image": image.reference, "build": image.build_id or "none", "log": image.log_url or "none"}
    _materialized(context, SERVICE_IMAGE, order, facts)
    return image


@dg.op(
    retry_policy=_RETRIES,
    description="Makes the revision on a tag of its own and without traffic, and waits until it is really ready.",
)
def deploy_service_revision(
    context: dg.OpExecutionContext,
    order: Order,
    image: Any,  # noqa: ANN401 imported late
    releases: Releases,
    bigquery: BigQueryConnection,
    audit: dg.ResourceParam[AuditTrail],
    last_backup: dg.ResourceParam[Any],
) -> Any:  # noqa: ANN401 imported late
    """The revision; None for a release that was handed over before: nothing of it is touched."""
    built: BuiltImage = image
    with _deployment(context, order, _Site(releases, bigquery, audit), last_backup) as deployment:
        if deployment.progress().handed_over is not None:
            context.log.info("Release %s was handed over before; nothing is done.", order.release_id)
            return None
        deployed: Deployed = deployment.revision(built.reference)
        url = deployment.site.run.console_url(order.service)
    context.add_output_metadata(
        {"revision": deployed.revision, "tag": deployed.tag, "link": dg.MetadataValue.url(url)}
    )
    return deployed


@dg.op(
    retry_policy=_RETRIES,
    description="Runs the smoke suite on the revision's tag and hands the release to the rollout.",
)
def hand_over_release(
    context: dg.OpExecutionContext,
    order: Order,
    deployed: Any,  # noqa: ANN401 imported late
    releases: Releases,
    bigquery: BigQueryConnection,
    audit: dg.ResourceParam[AuditTrail],
    last_backup: dg.ResourceParam[Any],
) -> None:
    """The end of a deployment, or nothing if it was over before."""
    if deployed is None:
        return
    with _deployment(context, order, _Site(releases, bigquery, audit), last_backup) as deployment:
        results = deployment.smoke(deployed, deployed.image)
        url = deployment.site.run.console_url(order.service)
    facts = {
        "revision": deployed.revision,
        "stable_revision": deployed.stable or "none: a first deployment",
        "image": deployed.image,
        "tag": deployed.tag,
        "address": dg.MetadataValue.url(deployed.uri),
        "link": dg.MetadataValue.url(url),
        "smoke": _table(results),
    }
    _materialized(context, SERVICE_REVISION, order, facts)


@dg.job(
    name="deploy_service",
    description="Releases the API: check-list, image, revision with a tag and no traffic, smoke suite. From then on the rollout "
    "moves the traffic. Killed and launched again with the same release it goes on.",
)
def deploy_service() -> None:
    """The four steps."""
    order = check_release()
    image = build_service_image(order)
    hand_over_release(order, deploy_service_revision(order, image))


def release_jobs() -> list[dg.JobDefinition]:
    """What `definitions.py` merges."""
    return [deploy_service, *checklist_jobs()]


def _order(context: dg.OpExecutionContext, releases: Releases, config: DeployConfig) -> Order:
    environment = releases.environment(config.environment)
    root = context.run.root_run_id or context.run_id
    return parse_order(
        release=config.release or f"release-{root[:8]}",
        environment=environment.value,
        service=releases.specification(environment).service,
        source=config.source,
        image=config.image,
        description=config.description,
        overrides=config.overrides,
        actor=actor_of(context.run.tags).name,
        run_id=context.run_id,
    )


@contextmanager
def _deployment(
    context: dg.OpExecutionContext, order: Order, at: _Site, last_backup: "LastBackup"
) -> Iterator["Deployment"]:
    """The release's deployment; an error that ends it is written down."""
    from convergence_orchestration.releases.before_bootstrap import with_its_log  # noqa: PLC0415 see above
    from convergence_orchestration.releases.deploying import Deployment  # noqa: PLC0415 see above

    environment = Environment(order.environment)
    with reported_failures(), at.releases.opened(environment, at.bigquery, at.audit) as site:
        deployment = Deployment(with_its_log(site, order.release_id), order, last_backup)
        try:
            yield deployment
        except ConvergenceError as error:
            if isinstance(error, PermanentError) or context.retry_number >= _TRIES - 1:
                deployment.fail(error)
            raise


def _materialized(context: dg.OpExecutionContext, asset: str, order: Order, facts: dict[str, Any]) -> None:
    partition = partition_of(order.environment, order.release_id)
    context.log_event(
        dg.AssetMaterialization(asset, partition=partition, metadata={**facts_of(order), **facts})
    )


def _table(results: "tuple[SmokeResult, ...]") -> dg.TableMetadataValue:
    records = [
        dg.TableRecord({"call": one.name, "passed": one.passed, "detail": one.detail}) for one in results
    ]
    return dg.MetadataValue.table(records)
