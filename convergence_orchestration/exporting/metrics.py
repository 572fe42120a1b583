"""The metrics of Dagster's side.

What belongs here: names, labels and meanings. What is not known is left out, for a zero would be a claim.
"""

from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from convergence_orchestration import __version__
from convergence_orchestration.errors import ConvergenceError
from convergence_orchestration.exporting.model import DagsterState, EndedRun
from convergence_orchestration.logs import logger

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_WAITING = frozenset({"QUEUED", "NOT_STARTED", "STARTING"})
_SECONDS = (0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600)
_OVERLAP_SECONDS = 30.0
_log = logger(__name__)

type Ask = Callable[[float], DagsterState]
"""Asks Dagster, for ended runs since that time; raises ConvergenceError if it does not answer."""


class DagsterMetrics:
    """What one exporter says; each text asks Dagster anew."""

    def __init__(self, ask: Ask, clock: Callable[[], float]) -> None:
        """Runs are counted from now on: those that ended before are another exporter's."""
        self._ask = ask
        self._clock = clock
        self._begin = self._asked_until = clock()
        self._counted: dict[str, float] = {}
        self._registry = CollectorRegistry()
        self._up = Gauge(
            "convergence_dagster_up", "1 if Dagster's web server answered, 0 if not.", registry=self._registry
        )
        self._runs = Counter(
            "convergence_dagster_runs_ended",
            "Runs that ended since this exporter was started.",
            ("job", "status"),
            registry=self._registry,
        )
        self._seconds = Histogram(
            "convergence_dagster_run_duration_seconds",
            "Seconds from a run's start to its end.",
            ("job",),
            registry=self._registry,
            buckets=_SECONDS,
        )
        info = Gauge(
            "convergence_exporter_build_info",
            "1; its label is the exporter's version.",
            ("version",),
            registry=self._registry,
        )
        info.labels(__version__).set(1)

    def text(self) -> bytes:
        """All of it in Prometheus' text format."""
        now = self._clock()
        try:
            state = self._ask(max(self._begin, self._asked_until - _OVERLAP_SECONDS))
        except ConvergenceError as error:
            _log.warning("Dagster could not be asked.", reason=error.message)
            self._up.set(0)
            return generate_latest(self._registry)
        self._up.set(1)
        self._count(state, now)
        return generate_latest(self._registry) + generate_latest(_registry_of(state, now))

    def _count(self, state: DagsterState, now: float) -> None:
        """Each ended run once, though every question overlaps the one before."""
        for run in state.ended:
            if run.run_id not in self._counted and run.updated >= self._begin:
                self._count_one(run)
        horizon = now - 10 * _OVERLAP_SECONDS
        self._counted = {run: at for run, at in self._counted.items() if at >= horizon}
        self._asked_until = now

    def _count_one(self, run: EndedRun) -> None:
        self._counted[run.run_id] = run.updated
        self._runs.labels(run.job, run.status).inc()
        if run.seconds is not None:
            self._seconds.labels(run.job).observe(run.seconds)


class _Snapshot(Collector):
    """What Dagster is like at this moment."""

    def __init__(self, state: DagsterState, now: float) -> None:
        self._state = state
        self._now = now

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Prometheus' interface."""
        yield self._live()
        yield self._queue()
        yield from self._daemons()
        yield from self._instigators()

    def _live(self) -> GaugeMetricFamily:
        family = GaugeMetricFamily(
            "convergence_dagster_runs_live", "Runs that have not ended.", labels=("job", "status")
        )
        counts: dict[tuple[str, str], int] = {}
        for run in self._state.live:
            counts[run.job, run.status] = counts.get((run.job, run.status), 0) + 1
        for labels, count in counts.items():
            family.add_metric(labels, count)
        return family

    def _queue(self) -> GaugeMetricFamily:
        oldest = min((run.created for run in self._state.live if run.status in _WAITING), default=self._now)
        return GaugeMetricFamily(
            "convergence_dagster_queue_age_seconds",
            "Age of the oldest run that has not started; 0 if none waits.",
            value=max(0.0, self._now - oldest),
        )

    def _daemons(self) -> Iterator[GaugeMetricFamily]:
        age = GaugeMetricFamily(
            "convergence_dagster_daemon_heartbeat_age_seconds",
            "Age of the daemon's last heartbeat.",
            labels=("daemon",),
        )
        healthy = GaugeMetricFamily(
            "convergence_dagster_daemon_healthy", "1 if Dagster calls the daemon healthy.", labels=("daemon",)
        )
        for daemon in self._state.daemons:
            if not daemon.is_required:
                continue
            healthy.add_metric((daemon.name,), daemon.is_healthy)
            if daemon.heartbeat is not None:
                age.add_metric((daemon.name,), max(0.0, self._now - daemon.heartbeat))
        yield age
        yield healthy

    def _instigators(self) -> Iterator[GaugeMetricFamily]:
        age = GaugeMetricFamily(
            "convergence_dagster_last_tick_age_seconds",
            "Age of the last tick of a sensor or schedule that is switched on.",
            labels=("kind", "name"),
        )
        lag = GaugeMetricFamily(
            "convergence_dagster_sensor_lag_seconds",
            "How much longer ago the sensor's last tick is than its interval.",
            labels=("sensor",),
        )
        failed = GaugeMetricFamily(
            "convergence_dagster_last_tick_failed", "1 if the last tick failed.", labels=("kind", "name")
        )
        for each in self._state.instigators:
            if not each.is_running or each.last_tick is None:
                continue
            ago = max(0.0, self._now - each.last_tick)
            age.add_metric((each.kind, each.name), ago)
            failed.add_metric((each.kind, each.name), each.last_status == "FAILURE")
            if each.kind == "sensor":
                lag.add_metric((each.name,), max(0.0, ago - each.interval))
        yield from (age, lag, failed)


def _registry_of(state: DagsterState, now: float) -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(_Snapshot(state, now))
    return registry
