"""What Prometheus reads at `/metrics`.

What belongs here: the metrics and their names. Labels hold route templates and codes, never ids: their number is
bounded whatever callers send.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from convergence_orchestration import __version__

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_KNOWN_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1, 2.5, 5, 10, 30, 60)


class Index(Protocol):
    """What is kept in memory and grows old."""

    def age(self, now: datetime) -> float:
        """Seconds; infinite before it was filled."""

    def __len__(self) -> int: ...


class Metrics:
    """The metrics of one API process, in a registry of their own."""

    def __init__(
        self, indexes: Mapping[str, Index], clock: Callable[[], datetime], environment: str = ""
    ) -> None:
        """Each of `indexes`, by name, is shown with its age at the time of `clock` and its size."""
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "convergence_http_requests",
            "Requests answered.",
            ("method", "route", "status"),
            registry=self._registry,
        )
        self._seconds = Histogram(
            "convergence_http_request_duration_seconds",
            "Seconds from a request's first byte to its answer's last.",
            ("method", "route", "status"),
            registry=self._registry,
            buckets=_SECONDS,
        )
        self._runs = Counter(
            "convergence_runs_launched",
            "Dagster runs launched.",
            ("job",),
            registry=self._registry,
        )
        self._errors = Counter(
            "convergence_errors",
            "Errors answered; `unauthorized` and `forbidden` are refused keys, `rate_limited` calls beyond a limit.",
            ("code",),
            registry=self._registry,
        )
        self._audit_failures = Counter(
            "convergence_audit_failures",
            "Calls that were answered 503 because the audit log could not be written.",
            registry=self._registry,
        )
        info = Gauge(
            "convergence_build_info",
            "1; its labels are what runs here.",
            ("version", "environment"),
            registry=self._registry,
        )
        info.labels(__version__, environment).set(1)
        self._limits = Gauge(
            "convergence_rate_limit_requests",
            "Requests that a tenant may make, by plan and window; what is beyond gets 429.",
            ("plan", "window"),
            registry=self._registry,
        )
        for name, index in indexes.items():
            self._show(name, index, clock)

    def _show(self, name: str, index: Index, clock: Callable[[], datetime]) -> None:
        age = Gauge(
            f"convergence_{name}_index_age_seconds",
            f"Age in seconds of the {name} index; infinite if it was never filled.",
            registry=self._registry,
        )
        age.set_function(lambda: index.age(clock()))
        size = Gauge(
            f"convergence_{name}_index_{name}s", f"What the {name} index holds.", registry=self._registry
        )
        size.set_function(lambda: len(index))

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one answered request."""
        labels = (method if method in _KNOWN_METHODS else "OTHER", route, str(status))
        self._requests.labels(*labels).inc()
        self._seconds.labels(*labels).observe(seconds)

    def limit(self, plan: str, window: str, requests: int) -> None:
        """Show a limit that is in force."""
        self._limits.labels(plan, window).set(requests)

    def run(self, job: str) -> None:
        """Count one launched run."""
        self._runs.labels(job).inc()

    def error(self, code: str) -> None:
        """Count one answered error."""
        self._errors.labels(code).inc()

    def audit_failure(self) -> None:
        """Count one call that could not be recorded."""
        self._audit_failures.inc()

    def text(self) -> bytes:
        """All of it in Prometheus' text format."""
        return generate_latest(self._registry)
