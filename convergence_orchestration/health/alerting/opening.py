"""What an evaluation reads and writes, over Google's clients, made from settings.

What belongs here: opening and closing, and which sources there are. What each source says is `sources/`.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

from convergence_orchestration.gcp.bigquery import BigQuery
from convergence_orchestration.gcp.clients import kms_client, monitoring_client, secret_manager_client
from convergence_orchestration.gcp.kms import Kms
from convergence_orchestration.gcp.monitoring import Monitoring
from convergence_orchestration.gcp.secrets import Secrets
from convergence_orchestration.health.alerting.channels import LOG_CHANNEL, Channel, read_channels
from convergence_orchestration.health.alerting.model import Seen
from convergence_orchestration.health.alerting.rules import RuleBook
from convergence_orchestration.health.alerting.sources import checks, keys, levels, releases, requests, runs
from convergence_orchestration.health.alerting.sources.looking import Source
from convergence_orchestration.health.alerting.sources.runs import FailedRun
from convergence_orchestration.health.alerting.store import AlertEvents
from convergence_orchestration.health.alerting.watching import KnownChannels, Watch
from convergence_orchestration.health.store import HealthChecks
from convergence_orchestration.settings import Settings
from convergence_orchestration.tenancy.requests import TenantRequests
from convergence_orchestration.warehouse.bootstrap import needs_bootstrap

CALL_SECONDS = 5.0
"""So long a call of Monitoring is repeated: the next evaluation is a minute away."""

_READ_FIRST: dict[str, datetime] = {}
"""By project, when this process could read what probes found for the first time."""

_LAST_KNOWN: dict[tuple[str, str], tuple[Channel, ...]] = {}
"""Channels by project and environment as this process read them last: people hear of a Secret Manager that is down."""


@dataclass(frozen=True)
class Scope:
    """What is evaluated: one environment, with what Dagster itself knows.

    Attributes:
        service: Cloud Run's, of which the levels of service are looked at.
        failed_runs: of the last minutes, for good.
    """

    settings: Settings
    service: str
    book: RuleBook
    failed_runs: Sequence[FailedRun] = ()
    run_id: str | None = None


def _now() -> datetime:
    return datetime.now(UTC)


@contextmanager
def opened_channels(settings: Settings) -> Iterator[KnownChannels]:
    """The channels of the settings' environment; they are remembered in this process.

    Raises:
        PermanentError: PERMISSION_DENIED if there are no usable credentials.
    """
    client = secret_manager_client(settings)
    place = (settings.gcp_project_id, settings.environment.value)
    secrets = Secrets(client, settings.gcp_project_id)
    channels = KnownChannels(
        partial(read_channels, secrets, settings.environment), _LAST_KNOWN.get(place, (LOG_CHANNEL,))
    )
    try:
        yield channels
    finally:
        _LAST_KNOWN[place] = channels.known
        client.transport.close()  # type: ignore[no-untyped-call]


@contextmanager
def opened_watch(scope: Scope, bigquery: BigQuery, channels: KnownChannels) -> Iterator[Watch]:
    """One environment's evaluation; every client but BigQuery's is closed at the end.

    Raises:
        PermanentError: PERMISSION_DENIED if there are no usable credentials.
    """
    settings = scope.settings
    with ExitStack() as undo:
        kms, secrets = kms_client(settings), secret_manager_client(settings)
        undo.callback(kms.transport.close)
        undo.callback(secrets.transport.close)
        monitoring = Monitoring(
            monitoring_client(settings), settings.gcp_project_id, total_seconds=CALL_SECONDS
        )
        undo.callback(monitoring.close)
        yield Watch(
            environment=settings.environment.value,
            book=scope.book,
            store=AlertEvents(bigquery),
            channels=channels,
            sources=partial(
                _sources,
                scope,
                bigquery,
                Kms(kms, settings.crypto_key_name),
                Secrets(secrets, settings.gcp_project_id),
                monitoring,
            ),
            clock=_now,
            run_id=scope.run_id,
        )


def _sources(
    scope: Scope, bigquery: BigQuery, kms: Kms, secrets: Secrets, monitoring: Monitoring, now: datetime
) -> list[Source]:
    settings, environment = scope.settings, scope.settings.environment.value

    def of_requests() -> Seen:
        with needs_bootstrap():
            unfinished = TenantRequests(bigquery).unfinished(now - requests.KEPT)
        return requests.of_requests(unfinished, environment, now)

    def of_checks() -> Seen:
        found = HealthChecks(bigquery).history(now - checks.KEPT)
        since = _READ_FIRST.setdefault(settings.gcp_project_id, now)
        return checks.of_checks(found, environment, now, since)

    return [
        Source(checks.NAME, of_checks),
        Source(
            levels.NAME, partial(levels.read_levels, settings, scope.service, monitoring, scope.book, now)
        ),
        Source(keys.NAME, partial(keys.read_keys, settings, secrets, kms, now)),
        Source(requests.NAME, of_requests),
        Source(releases.NAME, partial(releases.read_releases, bigquery, now)),
        Source(runs.NAME, partial(runs.of_runs, scope.failed_runs, environment, now)),
    ]
