"""Everything that is looked at in one environment, and one round of looking at several.

What belongs here: which looks there are. How each looks is in the other modules of this package.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

import httpx

from convergence_orchestration.gcp.bigquery import BigQuery
from convergence_orchestration.gcp.kms import Kms
from convergence_orchestration.gcp.run import CloudRun
from convergence_orchestration.gcp.secrets import Secrets
from convergence_orchestration.health.model import ProbeName, ProbeResult
from convergence_orchestration.health.probes import api, google, orchestration, tls
from convergence_orchestration.health.probes.addresses import Address, ServiceLook, remembered
from convergence_orchestration.health.probes.looking import Look, Subject, look_at_all
from convergence_orchestration.health.probes.orchestration import Orchestration

_QUERY_SECONDS = 5.0
"""So long a query that a quota refuses is repeated: what refuses for longer is worth telling."""

type Clock = Callable[[], datetime]
type Earlier = Callable[[], Sequence[ProbeResult]]


@dataclass(frozen=True)
class Place:
    """One environment, with what is asked there.

    Attributes:
        is_own: whether this code location is of it: then its service has to be there.
        authority_file: who signs the certificates of its addresses; None: those that this machine trusts.
    """

    environment: str
    is_own: bool
    service: str
    run: CloudRun
    http: httpx.Client
    authority_file: str | None
    kms: Kms
    secrets: Secrets
    admin_secret_id: str


@dataclass(frozen=True)
class Shared:
    """What all environments of this code location stand on.

    Attributes:
        environment: under which its results are kept.
        most_bytes_a_day: what BigQuery may be billed for; None: how much it was is not asked in this round.
        dagster: None: Dagster's side is not known in this process.
    """

    environment: str
    bigquery: BigQuery
    most_bytes_a_day: int | None
    dagster: Orchestration | None


def look_around(places: Sequence[Place], shared: Shared, earlier: Earlier, clock: Clock) -> list[ProbeResult]:
    """One round. `earlier` reads what was found lately; it is asked only where Cloud Run does not name its addresses.

    Addresses come first, because the API's probes ask them; everything else is asked at once.
    """
    services = [ServiceLook(place.run, place.service) for place in places]
    asked = [
        Look((Subject(ProbeName.CLOUD_RUN, place.service, place.environment),), service.ask)
        for place, service in zip(places, services, strict=True)
    ]
    found = look_at_all(asked, clock)
    results: list[ProbeResult] = []
    looks: list[Look] = [*_of_shared(shared, clock)]
    for place, service, result in zip(places, services, found, strict=True):
        if not _is_there(place, service):
            continue
        results.append(result)
        known = service.addresses if service.was_answered else remembered(earlier(), place.environment)
        looks += _of_place(place, known, clock)
    return [*results, *look_at_all(looks, clock), *_of_dagster(shared, clock())]


def _is_there(place: Place, service: ServiceLook) -> bool:
    """Whether the environment is one: another's service that there is not was never released."""
    return place.is_own or not service.was_answered or service.found is not None


def _of_place(place: Place, addresses: Iterable[Address], clock: Clock) -> list[Look]:
    def subject(probe: ProbeName, target: str) -> tuple[Subject]:
        return (Subject(probe, target, place.environment),)

    key, secret = place.kms.crypto_key_name, place.admin_secret_id
    looks = [
        Look(subject(ProbeName.KMS_ROUND_TRIP, key), partial(google.round_trip, place.kms)),
        Look(subject(ProbeName.ADMIN_SECRET, secret), partial(google.secret_access, place.secrets, secret)),
    ]
    for address in addresses:
        looks += api.looks_at(place.http, address, place.environment, clock)
        if address.revision is None:
            ask = partial(tls.certificate, address.uri, place.authority_file, clock())
            looks.append(Look(subject(ProbeName.TLS, address.uri), ask))
    return looks


def _of_shared(shared: Shared, clock: Clock) -> list[Look]:
    subjects = tuple(
        Subject(probe, shared.bigquery.project, shared.environment)
        for probe in (ProbeName.BIGQUERY_QUERY, ProbeName.BIGQUERY_QUOTA)
    )
    impatient = BigQuery(shared.bigquery.client, _QUERY_SECONDS, _QUERY_SECONDS)
    ask = partial(google.query_and_quota, impatient, shared.most_bytes_a_day, clock())
    return [Look(subjects, ask)]


def _of_dagster(shared: Shared, now: datetime) -> list[ProbeResult]:
    """Results without a look: the facts were read already."""
    known = shared.dagster
    if known is None:
        return []
    judged = [
        *(
            (ProbeName.DAGSTER_DAEMON, one.daemon, orchestration.of_heartbeat(one, now))
            for one in known.heartbeats
        ),
        *((ProbeName.SENSOR_LAG, one.target, orchestration.of_ticker(one, now)) for one in known.tickers),
        (ProbeName.RUN_QUEUE, "runs", orchestration.of_queue(known.queue, now)),
    ]
    return [
        ProbeResult(
            probe=probe,
            target=target,
            environment=shared.environment,
            status=finding.status,
            at=now,
            message=finding.message,
            measured=finding.measured,
        )
        for probe, target, finding in judged
    ]
