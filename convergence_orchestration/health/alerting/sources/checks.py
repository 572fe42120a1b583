"""What probes found, as observations: failures in a row, and what they measured.

What belongs here: turning the rows of `tenants.health_checks` into metrics. A target of which nothing new was found while others
were looked at is not there any more; if nobody looked at all, nothing is known of any.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import takewhile
from types import MappingProxyType

from convergence_orchestration.health.alerting.model import Metric, Observation, Seen
from convergence_orchestration.health.alerting.sources.looking import not_yet, unreadable
from convergence_orchestration.health.model import Measure, ProbeName, ProbeResult, ProbeStatus

NAME = "health_checks"
KEPT = timedelta(minutes=15)
"""So far back failures in a row are counted."""

FRESH = timedelta(minutes=4)
"""Probes look every minute; a result that is older says nothing about now."""

ROUND = timedelta(seconds=45)
"""What one round of probes finds lies no further apart: a target that was not found again in the last one is gone."""

_MEASURED: Mapping[tuple[ProbeName, Measure], Metric] = MappingProxyType(
    {
        (ProbeName.TLS, Measure.DAYS_LEFT): Metric.CERTIFICATE_DAYS_LEFT,
        (ProbeName.INDEX_AGE, Measure.AGE_SECONDS): Metric.INDEX_AGE_SECONDS,
        (ProbeName.SENSOR_LAG, Measure.LAG_SECONDS): Metric.SENSOR_LAG_SECONDS,
        (ProbeName.RUN_QUEUE, Measure.AGE_SECONDS): Metric.RUN_QUEUE_SECONDS,
        (ProbeName.BIGQUERY_QUOTA, Measure.USED_SHARE): Metric.QUOTA_USED_SHARE,
        (ProbeName.API_HEALTH, Measure.CLOCK_OFFSET_SECONDS): Metric.CLOCK_OFFSET_SECONDS,
    }
)
_WHOLE = frozenset({Metric.PROBE_FAILURES, Metric.TAG_FAILURES, Metric.TICK_FAILURES, *_MEASURED.values()})

_NOT_HEALTHY = frozenset({ProbeStatus.UNHEALTHY, ProbeStatus.UNKNOWN})
_UNHEALTHY = frozenset({ProbeStatus.UNHEALTHY})

type _Target = tuple[ProbeName, str, str]


def of_checks(found: Iterable[ProbeResult], environment: str, now: datetime, since: datetime) -> Seen:
    """What the results of the last `KEPT` say at `now`, and under `environment` that there are none.

    `since` is when this process read the table first: probes that have not looked yet since a start are unknown and no failure.
    """
    by_target: dict[_Target, list[ProbeResult]] = {}
    for result in sorted(found, key=lambda one: one.at, reverse=True):
        by_target.setdefault((result.probe, result.target, result.environment), []).append(result)
    newest = max((results[0].at for results in by_target.values()), default=None)
    if newest is None or now - newest > FRESH:
        return _nobody_looked(newest, environment) if now - since > FRESH else not_yet(NAME, environment)
    observations = [
        one
        for results in by_target.values()
        if newest - results[0].at <= ROUND
        for one in _of_target(results)
    ]
    return Seen(tuple(observations), _WHOLE)


def _nobody_looked(newest: datetime | None, environment: str) -> Seen:
    when = (
        f"since {newest:%H:%M:%S} UTC" if newest is not None else f"in {KEPT.total_seconds() / 60:g} minutes"
    )
    return unreadable(NAME, environment, f"No probe has looked {when}: see the job health_check.")


def _is_rare(probe: ProbeName) -> bool:
    """Whether a probe measures less often than it looks: asking for the bytes of a quota costs a query of its own."""
    return probe is ProbeName.BIGQUERY_QUOTA


def _last_that_measured(results: Sequence[ProbeResult], measure: Measure) -> ProbeResult:
    return next((one for one in results if measure in one.measured), results[0])


def _of_target(results: Sequence[ProbeResult]) -> Iterator[Observation]:
    """`results` are of one target, the newest first."""
    last = results[0]
    metric = Metric.TAG_FAILURES if last.revision is not None else Metric.PROBE_FAILURES
    yield _failures(results, metric, _NOT_HEALTHY)
    if last.probe is ProbeName.SENSOR_LAG:
        yield _failures(results, Metric.TICK_FAILURES, _UNHEALTHY)  # one that has not ticked yet is unknown
    for (probe, measure), metric in _MEASURED.items():
        if probe is last.probe:
            told = _last_that_measured(results, measure) if _is_rare(probe) else last
            yield _measurement(told, metric, told.measured.get(measure))


def _failures(results: Sequence[ProbeResult], metric: Metric, bad: frozenset[ProbeStatus]) -> Observation:
    last = results[0]
    failures = sum(1 for _ in takewhile(lambda one: one.status in bad, results))
    return Observation(
        metric=metric,
        environment=last.environment,
        subject=_subject(last),
        value=float(failures),
        words=_words(last, failures),
        probe=last.probe.value,
    )


def _measurement(last: ProbeResult, metric: Metric, value: float | None) -> Observation:
    if value is not None and metric is Metric.CLOCK_OFFSET_SECONDS:
        value = abs(value)
    return Observation(metric, last.environment, _subject(last), value, last.message, last.probe.value)


def _subject(result: ProbeResult) -> str:
    return f"{result.probe} {result.target}"


def _words(last: ProbeResult, failures: int) -> str:
    if not failures:
        return ""
    found = "could not be asked" if last.status is ProbeStatus.UNKNOWN else "was not healthy"
    times = "once" if failures == 1 else f"{failures} times in a row"
    return f"It {found}, {times}. {last.message}".strip()
