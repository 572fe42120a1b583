"""The jobs of alerts: `evaluate_alerts` at will, `silence_alerts`, `unsilence_alerts` and `test_alert_channels`.

What belongs here: config, and reporting to Dagster. What is done is `watching.py` and `hands.py`. Every minute the sensor beside this
module evaluates; the job is for whoever does not want to wait.
"""

from datetime import UTC, datetime
from typing import Any

import dagster as dg
from pydantic import Field

from convergence_orchestration.audit.runs import ACTOR_TAG, BY_HAND
from convergence_orchestration.environment.resources import Environments
from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.gcp.resources import BigQueryConnection, reported_failures
from convergence_orchestration.health.alerting.model import ANY, AlertEvent, Phase
from convergence_orchestration.health.alerting.resources import Alerts, failed_runs
from convergence_orchestration.releases.resources import Releases

EVALUATE_JOB = "evaluate_alerts"
EVALUATE_OP = "evaluate"
_RETRIES = dg.RetryPolicy(max_retries=2, delay=2, backoff=dg.Backoff.EXPONENTIAL)


class SilenceConfig(dg.Config):
    """What the launchpad asks."""

    rule: str = Field(description=f"The rule, or {ANY} for all.")
    subject: str = Field(
        default=ANY, description=f"What it is about, as the list of alerts shows it; {ANY} for all."
    )
    environment: str = Field(
        default="", description=f"Which environment; empty: that of this code location; {ANY} for all."
    )
    until: str = Field(
        description="Until when, ISO 8601, for example 2030-01-02T06:00:00Z; within thirty days."
    )
    reason: str = Field(description="Why, for whoever looks later.")


class UnsilenceConfig(dg.Config):
    """What the launchpad asks."""

    silence: str = Field(description="The silence's id, sil_..., as the list of alerts shows it.")


class TryConfig(dg.Config):
    """What the launchpad asks."""

    channel: str = Field(default="", description="Which channel; empty: all of them.")


@dg.op(name=EVALUATE_OP, retry_policy=_RETRIES)
def evaluate_rules(
    context: dg.OpExecutionContext,
    alerts: Alerts,
    environments: Environments,
    releases: Releases,
    bigquery: BigQueryConnection,
) -> None:
    """Look at everything once, record what is new about alerts, and tell what is untold."""
    from convergence_orchestration.health.alerting.watching import watch_once  # noqa: PLC0415 see gcp/clients.py

    settings = alerts.settings(environments, releases)
    failed = failed_runs(context.instance, datetime.now(UTC))
    with (
        reported_failures(),
        alerts.channels(settings) as channels,
        alerts.watch(settings, channels, releases, bigquery, failed, context.run_id) as watch,
    ):
        done = watch_once(watch)
    facts: dict[str, Any] = {
        "open": sum(alert.phase is not Phase.PENDING for alert in done.standing.alerts.values()),
        "told": dg.MetadataValue.json([[one.channel, len(one.events), one.why] for one in done.sent]),
    }
    if done.news:
        facts["news"] = dg.MetadataValue.table([_record(event) for event in done.news])
    context.add_output_metadata(facts)


@dg.op(retry_policy=_RETRIES)
def silence(
    context: dg.OpExecutionContext, config: SilenceConfig, alerts: Alerts, bigquery: BigQueryConnection
) -> None:
    """Nobody is told of these alerts until then; they are recorded all the same."""
    from convergence_orchestration.health.alerting import hands  # noqa: PLC0415 see gcp/clients.py
    from convergence_orchestration.health.alerting.store import AlertEvents  # noqa: PLC0415

    run = context.run
    asked = hands.Asked(
        rule=config.rule,
        subject=config.subject,
        environment=config.environment or alerts.own,
        until=config.until,
        reason=config.reason,
        actor=run.tags.get(ACTOR_TAG) or BY_HAND,
        run_id=run.root_run_id or run.run_id,
    )
    with reported_failures():
        event = hands.silence(asked, alerts.book(), datetime.now(UTC))
        AlertEvents(bigquery.bigquery()).append([event])
    context.add_output_metadata({"silence": event.alert_id, "until": str(event.silenced_until)})


@dg.op(retry_policy=_RETRIES)
def unsilence(context: dg.OpExecutionContext, config: UnsilenceConfig, bigquery: BigQueryConnection) -> None:
    """A silence ends now, and people are told of what is still open."""
    from convergence_orchestration.health.alerting import hands  # noqa: PLC0415 see gcp/clients.py
    from convergence_orchestration.health.alerting.history import fold  # noqa: PLC0415
    from convergence_orchestration.health.alerting.store import AlertEvents  # noqa: PLC0415

    run, now = context.run, datetime.now(UTC)
    run_id, actor = run.root_run_id or run.run_id, run.tags.get(ACTOR_TAG) or BY_HAND
    with reported_failures():
        store = AlertEvents(bigquery.bigquery())
        known = store.remembered(now)
        if any(event.run_id == run_id for event in known):
            return  # this run's first attempt has done it
        store.append([hands.unsilence(config.silence, fold(known, now), actor, run_id, now)])


@dg.op
def send_test_messages(
    context: dg.OpExecutionContext,
    config: TryConfig,
    alerts: Alerts,
    environments: Environments,
    releases: Releases,
) -> None:
    """Every channel gets a test message, or the one that is named; the run fails if one did not take it."""
    from convergence_orchestration.health.alerting.trying import try_channels  # noqa: PLC0415 see gcp/clients.py

    settings = alerts.settings(environments, releases)
    with reported_failures(), alerts.channels(settings) as channels:
        channels.look()
        whys = try_channels(channels.known, config.channel, alerts.own, datetime.now(UTC))
        context.add_output_metadata(
            {"channels": dg.MetadataValue.json({name: why or "took it" for name, why in whys.items()})}
        )
        failed = " ".join(f"{name}: {why}" for name, why in whys.items() if why)
        if failed:
            words = f"Look at the channels that did not take the test message. {failed}"
            raise PermanentError(ErrorCode.FAILED_PRECONDITION, words)


def _job(name: str, op: dg.OpDefinition, description: str) -> dg.JobDefinition:
    return dg.GraphDefinition(name=name, node_defs=[op]).to_job(description=description)


evaluate_alerts = _job(
    EVALUATE_JOB,
    evaluate_rules,
    "Evaluates every rule now. The sensor `alert_sensor` does it every minute without a run.",
)


def alert_jobs() -> list[dg.JobDefinition]:
    """What `definitions.py` merges."""
    return [
        evaluate_alerts,
        _job(
            "silence_alerts",
            silence,
            "Keeps people from being told of alerts for a while; they are recorded.",
        ),
        _job("unsilence_alerts", unsilence, "Ends a silence before its time."),
        _job("test_alert_channels", send_test_messages, "Sends a test message to the channels of alerts."),
    ]


def _record(event: AlertEvent) -> dg.TableRecord:
    subject = event.about_subject
    return dg.TableRecord(
        {
            "what": event.kind.value,
            "severity": event.severity.value,
            "rule": subject.rule,
            "environment": subject.environment,
            "subject": subject.subject,
            "observed": "" if event.observed is None else f"{event.observed:g}",
            "message": event.message,
        }
    )
