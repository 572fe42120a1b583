"""The jobs of releases as Dagster runs them: deploy one, sign for one, load-test one.

What belongs here: config, and reporting to Dagster, which stores all it is shown. What is done is `deploying.py`, `gate.py` and
`load_testing.py`, which are imported by the op that needs them: Google's clients are dear to import.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import Field

from convergence_orchestration.audit.runs import ACTOR_TAG, BY_HAND
from convergence_orchestration.audit.trail import AuditTrail
from convergence_orchestration.errors import ConvergenceError, PermanentError
from convergence_orchestration.gcp.resources import BigQueryConnection, reported_failures
from convergence_orchestration.releases.assets import (
    RELEASES,
    SERVICE_IMAGE,
    SERVICE_REVISION,
    partition_of,
)
from convergence_orchestration.releases.model import parse_release_id
from convergence_orchestration.releases.order import Order, parse_item, parse_order
from convergence_orchestration.releases.policy import ServiceTargets
from convergence_orchestration.releases.resources import Releases
from convergence_orchestration.settings import Environment

if TYPE_CHECKING:
    from convergence_orchestration.gcp.build import BuiltImage
    from convergence_orchestration.releases.deploying import Deployment
    from convergence_orchestration.releases.revisions import Deployed
    from convergence_orchestration.releases.smoke import SmokeResult

_TRIES = 3
_RETRIES = dg.RetryPolicy(max_retries=_TRIES - 1, delay=5, backoff=dg.Backoff.EXPONENTIAL)
_NEEDED = {"releases", "bigquery", "audit", "last_backup"}
_ENVIRONMENT = "development, staging or production; empty: that of this code location."


class DeployConfig(dg.Config):
    """What the launchpad asks."""

    environment: str = Field(default="", description=_ENVIRONMENT)
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


class SignConfig(dg.Config):
    """What the launchpad asks."""

    environment: str = Field(default="", description=_ENVIRONMENT)
    release: str = Field(description="The release that is signed for, and no other.")
    item: str = Field(description="security_review or on_call.")
    name: str = Field(description="Who signs.")
    note: str = Field(default="", description="What was looked at, or who is on call until when.")


class LoadTestConfig(dg.Config):
    """What the launchpad asks."""

    environment: str = Field(default="", description=_ENVIRONMENT)
    release: str = Field(description="The release, which is asked on its tag.")
    rate: float = Field(default=50, description="Requests a second, at most 500.")
    seconds: float = Field(default=60, description="How long, at most 3600.")
    path: str = Field(default="/health", description="What is asked for.")


@dg.op(
    required_resource_keys=_NEEDED,
    retry_policy=_RETRIES,
    description="Writes the release down and checks what of its check-list does not depend on the image.",
)
def check_release(context: dg.OpExecutionContext, config: DeployConfig) -> Order:
    """The order, once it may begin."""
    with reported_failures():
        order = _order(context, config)
    with _deployment(context, order) as deployment:
        items = deployment.begin()
    key = partition_of(order.environment, order.release_id)
    context.instance.add_dynamic_partitions(RELEASES, [key])
    context.add_output_metadata({**_facts(order), "items_met": ", ".join(items) or "none wanted"})
    return order


@dg.op(
    required_resource_keys=_NEEDED,
    retry_policy=_RETRIES,
    description="Builds the image unless it was named, and checks what of the check-list is about it.",
)
def build_service_image(context: dg.OpExecutionContext, order: Order) -> Any:  # noqa: ANN401 imported late
    """The image."""
    with _deployment(context, order) as deployment:
        image = deployment.image()
    facts = {"image": image.reference, "build": image.build_id or "none", "log": image.log_url or "none"}
    _materialized(context, SERVICE_IMAGE, order, facts)
    return image


@dg.op(
    required_resource_keys=_NEEDED,
    retry_policy=_RETRIES,
    description="Makes the revision on a tag of its own and without traffic, and waits until it is really ready.",
)
def deploy_service_revision(context: dg.OpExecutionContext, order: Order, image: Any) -> Any:  # noqa: ANN401 imported late
    """The revision; None for a release that was handed over before: nothing of it is touched."""
    built: BuiltImage = image
    with _deployment(context, order) as deployment:
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
    required_resource_keys=_NEEDED,
    retry_policy=_RETRIES,
    description="Runs the smoke suite on the revision's tag and hands the release to the rollout.",
)
def hand_over_release(context: dg.OpExecutionContext, order: Order, image: Any, deployed: Any) -> None:  # noqa: ANN401 imported late
    """The end of a deployment, or nothing if it was over before."""
    if deployed is None:
        return
    with _deployment(context, order) as deployment:
        results = deployment.smoke(deployed, image.reference)
        url = deployment.site.run.console_url(order.service)
    facts = {
        "revision": deployed.revision,
        "stable_revision": deployed.stable or "none: a first deployment",
        "image": image.reference,
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
    hand_over_release(order, image, deploy_service_revision(order, image))


@dg.op(
    required_resource_keys=_NEEDED,
    retry_policy=_RETRIES,
    description="Records who vouches for an item of one release's check-list.",
)
def sign_item(context: dg.OpExecutionContext, config: SignConfig) -> None:
    """One signature."""
    from convergence_orchestration.releases.gate import sign  # noqa: PLC0415 see the module's docstring

    with reported_failures():
        order = _order_about(context, config.environment, config.release)
        item = parse_item(config.item)
        with _site(context, order) as site:
            event = sign(site, order, item, config.name, config.note)
    context.add_output_metadata({**_facts(order), "item": item.value, "signed_by": event.actor})


@dg.job(
    name="sign_release_item",
    description="Signs the security review, or for on-call, of one release; it counts for that release alone.",
)
def sign_release_item() -> None:
    """The one op, so that it can be launched by name."""
    sign_item()


@dg.op(
    required_resource_keys=_NEEDED,
    description="Sends requests at a fixed rate to a release's tag and records how they were answered.",
)
def send_load(context: dg.OpExecutionContext, config: LoadTestConfig) -> None:
    """One load test; it fails when a target is missed, and the result is recorded either way."""
    from convergence_orchestration.releases.load_testing import load_test  # noqa: PLC0415 see above

    with reported_failures():
        order = _order_about(context, config.environment, config.release)
        with _site(context, order) as site:
            result, problems = load_test(
                site, order, config.rate, config.seconds, config.path, ServiceTargets()
            )
    facts: dict[str, Any] = {**_facts(order), **result.numbers}
    if problems:
        raise dg.Failure(" ".join(problems), metadata=facts, allow_retries=False)
    context.add_output_metadata(facts)


@dg.job(
    name="load_test_release",
    description="Load-tests a release on its tag and records the result for its image: an item of the check-list. Do it in "
    "staging, before the image is released to production.",
)
def load_test_release() -> None:
    """The one op, so that it can be launched by name."""
    send_load()


def release_jobs() -> list[dg.JobDefinition]:
    """What `definitions.py` merges."""
    return [deploy_service, sign_release_item, load_test_release]


def _order(context: dg.OpExecutionContext, config: DeployConfig) -> Order:
    environment, service = _where(context, config.environment)
    root = context.run.root_run_id or context.run_id
    return parse_order(
        release=config.release or f"release-{root[:8]}",
        environment=environment.value,
        service=service,
        source=config.source,
        image=config.image,
        description=config.description,
        overrides=config.overrides,
        actor=_actor(context),
        run_id=context.run_id,
    )


def _order_about(context: dg.OpExecutionContext, asked: str, release: str) -> Order:
    environment, service = _where(context, asked)
    return Order(
        parse_release_id(release), environment.value, service, actor=_actor(context), run_id=context.run_id
    )


def _where(context: dg.OpExecutionContext, asked: str) -> tuple[Environment, str]:
    releases: Releases = context.resources.releases
    environment = releases.environment(asked)
    return environment, releases.specification(environment).service


def _actor(context: dg.OpExecutionContext) -> str:
    return context.run.tags.get(ACTOR_TAG) or BY_HAND


@contextmanager
def _site(context: dg.OpExecutionContext, order: Order) -> Iterator[Any]:
    releases: Releases = context.resources.releases
    bigquery: BigQueryConnection = context.resources.bigquery
    audit: AuditTrail = context.resources.audit
    with releases.opened(Environment(order.environment), bigquery, audit) as site:
        yield site


@contextmanager
def _deployment(context: dg.OpExecutionContext, order: Order) -> Iterator["Deployment"]:
    """The release's deployment; an error that ends it is written down."""
    from convergence_orchestration.releases.deploying import Deployment  # noqa: PLC0415 see above

    with reported_failures(), _site(context, order) as site:
        deployment = Deployment(site, order, context.resources.last_backup)
        try:
            yield deployment
        except ConvergenceError as error:
            if isinstance(error, PermanentError) or context.retry_number >= _TRIES - 1:
                deployment.fail(error)
            raise


def _materialized(context: dg.OpExecutionContext, asset: str, order: Order, facts: dict[str, Any]) -> None:
    partition = partition_of(order.environment, order.release_id)
    context.log_event(
        dg.AssetMaterialization(asset, partition=partition, metadata={**_facts(order), **facts})
    )


def _facts(order: Order) -> dict[str, str]:
    return {"release": order.release_id, "environment": order.environment, "service": order.service}


def _table(results: "tuple[SmokeResult, ...]") -> dg.TableMetadataValue:
    records = [
        dg.TableRecord({"call": one.name, "passed": one.passed, "detail": one.detail}) for one in results
    ]
    return dg.MetadataValue.table(records)
