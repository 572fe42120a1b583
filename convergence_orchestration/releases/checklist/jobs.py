"""The jobs by which people meet items of a check-list: sign for a release, load-test it.

What belongs here: config, and reporting to Dagster. What is done is `gate.py` and `load_testing.py`, which are imported by the
op that needs them: Google's clients are dear to import.
"""

from typing import Any

import dagster as dg
from pydantic import Field

from convergence_orchestration.audit.runs import actor_of
from convergence_orchestration.audit.trail import AuditTrail
from convergence_orchestration.gcp.resources import BigQueryConnection, reported_failures
from convergence_orchestration.releases.model import parse_release_id
from convergence_orchestration.releases.order import Order, parse_item
from convergence_orchestration.releases.resources import Releases
from convergence_orchestration.settings import Environment

ENVIRONMENT_ASKED = "development, staging or production; empty: that of this code location."
_RETRIES = dg.RetryPolicy(max_retries=2, delay=5, backoff=dg.Backoff.EXPONENTIAL)


class SignConfig(dg.Config):
    """What the launchpad asks."""

    environment: str = Field(default="", description=ENVIRONMENT_ASKED)
    release: str = Field(description="The release that is signed for, and no other.")
    item: str = Field(description="security_review or on_call.")
    name: str = Field(description="Who signs.")
    note: str = Field(default="", description="What was looked at, or who is on call until when.")


class LoadTestConfig(dg.Config):
    """What the launchpad asks."""

    environment: str = Field(default="", description=ENVIRONMENT_ASKED)
    release: str = Field(description="The release, which is asked on its tag.")
    rate: float = Field(default=50, description="Requests a second, at most 500.")
    seconds: float = Field(default=60, description="How long, at most 3600.")
    path: str = Field(default="/health", description="What is asked for.")


@dg.op(
    retry_policy=_RETRIES,
    description="Records who vouches for an item of one release's check-list.",
)
def sign_item(
    context: dg.OpExecutionContext,
    config: SignConfig,
    releases: Releases,
    bigquery: BigQueryConnection,
    audit: dg.ResourceParam[AuditTrail],
) -> None:
    """One signature."""
    from convergence_orchestration.releases.checklist.gate import sign  # noqa: PLC0415 see the module's docstring

    with reported_failures():
        order = _order_about(context, releases, config.environment, config.release)
        item = parse_item(config.item)
        with releases.opened(Environment(order.environment), bigquery, audit) as site:
            event = sign(site, order, item, config.name, config.note)
    context.add_output_metadata({**facts_of(order), "item": item.value, "signed_by": event.actor})


@dg.job(
    name="sign_release_item",
    description="Signs the security review, or for on-call, of one release; it counts for that release alone.",
)
def sign_release_item() -> None:
    """The one op, so that it can be launched by name."""
    sign_item()


@dg.op(
    description="Sends requests at a fixed rate to a release's tag and records how they were answered.",
)
def send_load(
    context: dg.OpExecutionContext,
    config: LoadTestConfig,
    releases: Releases,
    bigquery: BigQueryConnection,
    audit: dg.ResourceParam[AuditTrail],
) -> None:
    """One load test; it fails when a target is missed, and the result is recorded either way."""
    from convergence_orchestration.releases.checklist.load_testing import load_test  # noqa: PLC0415 see above

    with reported_failures():
        order = _order_about(context, releases, config.environment, config.release)
        with releases.opened(Environment(order.environment), bigquery, audit) as site:
            result, problems = load_test(site, order, config.rate, config.seconds, config.path)
    facts: dict[str, Any] = {**facts_of(order), **result.numbers}
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


def checklist_jobs() -> list[dg.JobDefinition]:
    """What jobs.py merges."""
    return [sign_release_item, load_test_release]


def facts_of(order: Order) -> dict[str, str]:
    """What every run says of the release that it is about."""
    return {"release": order.release_id, "environment": order.environment, "service": order.service}


def _order_about(context: dg.OpExecutionContext, releases: Releases, asked: str, release: str) -> Order:
    environment = releases.environment(asked)
    service = releases.specification(environment).service
    return Order(
        parse_release_id(release),
        environment.value,
        service,
        actor=actor_of(context.run.tags).name,
        run_id=context.run_id,
    )
