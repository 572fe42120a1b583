"""`convergence alerts list|silence|unsilence|test`: what is wrong, who is not told of it, and whether channels work.

What belongs here: commands. Listing reads the table of alerts; everything that changes something launches the job that the UI offers
too, so that it is in the audit log.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from convergence_orchestration.cli.options import DEFAULT_DATA_DIR, AsJson, DataDir
from convergence_orchestration.cli.platforms import GoogleCloud, bigquery_of, settings_at
from convergence_orchestration.cli.reporting import tell
from convergence_orchestration.cli.showing import duration, print_json, print_table
from convergence_orchestration.cli.tenant_keys import seconds_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from convergence_orchestration.health.alerting.model import Alert, AlertEvent, Silence, Standing
    from convergence_orchestration.settings import Settings

app = typer.Typer(
    no_args_is_help=True, help="See what is wrong, keep alerts silent for a while, try channels out."
)

_Reason = Annotated[str, typer.Option(help="Why, for whoever looks later.")]
_Environment = Annotated[
    str, typer.Option("--environment", help="Which environment; left out: the platform's own; * for all.")
]
_ALERT_COLUMNS = (
    "severity",
    "rule",
    "subject",
    "environment",
    "state",
    "for",
    "observed",
    "silent",
    "what",
    "runbook",
)
_SILENCE_COLUMNS = ("silence", "rule", "subject", "environment", "until", "by", "why")


@dataclass(frozen=True)
class _Listed:
    now: datetime
    standing: "Standing"
    events: "list[AlertEvent]"


@app.command("list")
def list_alerts(
    *,
    events: Annotated[
        int, typer.Option(min=0, max=1000, help="Show so many of the newest events instead.")
    ] = 0,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    google_cloud: GoogleCloud = False,
    as_json: AsJson = False,
) -> None:
    """List the alerts that are open and the silences that last, or what happened to alerts of late."""
    listed = _listed(settings_at(data_dir, google_cloud=google_cloud))
    if events:
        _print_events(listed.events[::-1][:events], as_json=as_json)
        return
    alerts = _most_urgent_first(listed.standing)
    silences = listed.standing.silences
    if as_json:
        print_json(
            {"alerts": [_facts(one) for one in alerts], "silences": [_covered(one) for one in silences]}
        )
        return
    if alerts:
        print_table(_ALERT_COLUMNS, [_row(one, listed) for one in alerts], unbroken=("rule",))
    else:
        tell("No alert is open.")
    if silences:
        print_table(
            _SILENCE_COLUMNS,
            [tuple(_covered(one).values()) for one in silences],
            unbroken=("silence", "until"),
        )


@app.command()
def silence(  # noqa: PLR0913 one for each option
    rule: Annotated[str, typer.Argument(help="The rule, as the list shows it; * for all.")],
    *,
    lasting: Annotated[str, typer.Option("--for", help="How long: 90s, 30m, 24h, 7d; at most 30d.")] = "",
    until: Annotated[str, typer.Option(help="Or until when, ISO 8601.")] = "",
    subject: Annotated[str, typer.Option(help="Only this subject, as the list shows it.")] = "",
    reason: _Reason,
    environment: _Environment = "",
    data_dir: DataDir = DEFAULT_DATA_DIR,
    google_cloud: GoogleCloud = False,
) -> None:
    """Tell nobody of these alerts for a while; they are recorded all the same."""
    if bool(lasting) == bool(until):
        raise typer.BadParameter("give either --for or --until")
    if lasting:
        until = (datetime.now(UTC) + timedelta(seconds=seconds_of(lasting))).isoformat(timespec="seconds")
    config = {"rule": rule, "subject": subject, "environment": environment, "until": until, "reason": reason}
    _launch(settings_at(data_dir, google_cloud=google_cloud), "silence_alerts", "silence", config)


@app.command()
def unsilence(
    silence_id: Annotated[str, typer.Argument(metavar="SILENCE", help="sil_..., as the list shows it.")],
    *,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    google_cloud: GoogleCloud = False,
) -> None:
    """End a silence now: people are told of what is still open."""
    _launch(
        settings_at(data_dir, google_cloud=google_cloud),
        "unsilence_alerts",
        "unsilence",
        {"silence": silence_id},
    )


@app.command("test")
def try_channels(
    channel: Annotated[str, typer.Argument(help="Which channel; left out: all.")] = "",
    *,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    google_cloud: GoogleCloud = False,
) -> None:
    """Send a test message to every channel, or to one: exit status 1 if one does not take it."""
    _launch(
        settings_at(data_dir, google_cloud=google_cloud),
        "test_alert_channels",
        "send_test_messages",
        {"channel": channel},
    )


def _launch(settings: "Settings", job: str, op: str, config: "Mapping[str, str]") -> None:
    """Launch a job of one op and wait until it has ended; fields that are left out are the job's to choose."""
    from convergence_orchestration.cli.dagster_runs import run_job  # noqa: PLC0415 not for --help

    run_job(settings, job, op, {name: value for name, value in config.items() if value})
    tell("Done.")


def _listed(settings: "Settings") -> _Listed:
    from convergence_orchestration.health.alerting.history import fold  # noqa: PLC0415 not for --help
    from convergence_orchestration.health.alerting.store import AlertEvents  # noqa: PLC0415

    now = datetime.now(UTC)
    with bigquery_of(settings) as bigquery:
        events = AlertEvents(bigquery).remembered(now)
    return _Listed(now, fold(events, now), events)


def _most_urgent_first(standing: "Standing") -> "list[Alert]":
    from convergence_orchestration.health.alerting.model import Severity  # noqa: PLC0415 not for --help

    urgency = {severity: place for place, severity in enumerate(reversed(Severity))}
    return sorted(standing.alerts.values(), key=lambda one: (urgency[one.severity], one.since))


def _row(alert: "Alert", listed: _Listed) -> tuple[object, ...]:
    subject = alert.about_subject
    silent = [one.silence_id for one in listed.standing.silences if one.covers(subject, listed.now)]
    return (
        alert.severity,
        subject.rule,
        subject.subject,
        subject.environment,
        alert.phase,
        duration((listed.now - alert.since).total_seconds()),
        "" if alert.observed is None else f"{alert.observed:g}",
        " ".join(silent),
        alert.message,
        alert.runbook,
    )


def _facts(alert: "Alert") -> dict[str, object]:
    subject = alert.about_subject
    return {
        "alert_id": alert.alert_id,
        "severity": alert.severity,
        "rule": subject.rule,
        "subject": subject.subject,
        "environment": subject.environment,
        "state": alert.phase,
        "since": alert.since.isoformat(),
        "observed": alert.observed,
        "threshold": alert.threshold,
        "message": alert.message,
        "runbook": alert.runbook,
    }


def _covered(silence_: "Silence") -> dict[str, object]:
    covered = silence_.covered
    return {
        "silence": silence_.silence_id,
        "rule": covered.rule,
        "subject": covered.subject,
        "environment": covered.environment,
        "until": silence_.until.isoformat(timespec="seconds"),
        "by": silence_.actor,
        "why": silence_.reason,
    }


def _print_events(events: "list[AlertEvent]", *, as_json: bool) -> None:
    columns = ("at", "what", "severity", "rule", "subject", "environment", "observed", "channel", "words")
    rows = [
        (
            f"{one.recorded_at:%Y-%m-%d %H:%M:%S}",
            one.kind.value,
            one.severity.value,
            one.about_subject.rule,
            one.about_subject.subject,
            one.about_subject.environment,
            one.observed,
            one.channel,
            one.message,
        )
        for one in events
    ]
    if as_json:
        print_json([dict(zip(columns, row, strict=True)) for row in rows])
    else:
        print_table(columns, rows, unbroken=("at",))
