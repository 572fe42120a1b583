"""Each rule of alerts fires, is updated and resolves when the real fault is caused and mended, within two evaluation periods.

Two rules are caused elsewhere: of `clocks_apart` the probes' tests ask a server whose clock is wrong, and nobody bills the bytes of
`bigquery_quota` here; what a quota refuses is. Thresholds that are minutes or days
of the clock are shortened here, and nothing else of the rules.
"""

import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import dagster as dg
import httpx
import pytest

from convergence_orchestration.errors import ErrorCode
from convergence_orchestration.gcp.bigquery import BigQuery
from convergence_orchestration.gcp.clients import bigquery_client
from convergence_orchestration.health.alerting.model import AlertKind
from convergence_orchestration.health.alerting.rules import rule_book
from convergence_orchestration.releases.model import EventKind, ReleaseEvent, ReleaseId, RevisionName
from convergence_orchestration.releases.store import ReleaseEvents
from convergence_orchestration.tenancy.asked import NewTenant, RequestKind
from convergence_orchestration.tenancy.model import TenantId
from convergence_orchestration.tenancy.request_model import RequestEvent, RequestId, RequestState
from convergence_orchestration.tenancy.requests import TenantRequests
from convergence_orchestration_tests.e2e.alerting import Evaluator, stopped, until, within_seconds
from convergence_orchestration_tests.e2e.platform import Platform, free_base_port
from convergence_orchestration_tests.health.alerting.receiver import receiving

_log = logging.getLogger(__name__)

PERIOD = 60.0
"""Seconds between two evaluations of the sensor, for what is measured by the clock."""

ELSEWHERE = {"clocks_apart", "bigquery_quota"}
NEVER_WORSE = {"certificate_expires", "source_unreadable", "latency_high"}
"""A date, what is either so or not, and what a busy machine makes slower than a test can double."""

LEVELS = {
    "latency_high",
    "error_rate_high",
    "error_budget_burns_fast",
    "error_budget_burns",
    "error_budget_burns_slowly",
}
REFUSED: dict[str, object] = {"code": 403, "reason": "accessDenied"}
EXCEEDED: dict[str, object] = {"code": 403, "reason": "quotaExceeded"}
OF_GOOGLE: dict[str, tuple[str, dict[str, object]]] = {
    "secrets_failing": (
        "google.cloud.secretmanager.v1.SecretManagerService/AccessSecretVersion",
        {"code": "PERMISSION_DENIED"},
    ),
    "cloud_run_failing": ("google.cloud.run.v2.Services/GetService", {"code": "PERMISSION_DENIED"}),
    "bigquery_failing": ("POST */queries", {**EXCEEDED, "body": ["asked"]}),
    "bigquery_quota_refuses": ("POST */queries", {**EXCEEDED, "body": ["asked"]}),
    "index_old": ("GET */tables/*/data", REFUSED),
    "source_unreadable": ("google.monitoring.v3.MetricService/ListTimeSeries", {"code": "PERMISSION_DENIED"}),
}
SLOW_KMS: dict[str, object] = {
    "method": "google.cloud.kms.v1.KeyManagementService/Encrypt",
    "delay_seconds": 11,
}
SHORTENED = {
    "runs_wait": {"threshold": 2},
    "requests_stuck": {"threshold": 2},
    "certificate_expires": {"threshold": 100},
    "key_rotation_overdue": {"threshold": 11},
}


@pytest.fixture(scope="module")
def evaluator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Evaluator]:
    """A running, bootstrapped platform whose team has a webhook for a channel."""
    platform = Platform(tmp_path_factory.mktemp("alerts") / "data", free_base_port())
    with receiving() as webhook:
        platform.up()
        try:
            assert platform.admin("POST", "/bootstrap", {}, Prefer="wait=170").status_code == 200
            made = Evaluator(platform, webhook)
            made.open_the_channel()
            yield made
        finally:
            platform.down()


def test_a_healthy_platform_opens_nothing(evaluator: Evaluator) -> None:
    for _ in range(3):
        evaluator.launched_period()
    assert AlertKind.OPENED not in {event.kind for event in evaluator.events()}
    assert evaluator.webhook.told == []


@pytest.fixture(scope="module")
def daemon(evaluator: Evaluator) -> Iterator[ExitStack]:
    """Dagster's daemon stands still until the stack is closed."""
    with ExitStack() as still:
        still.enter_context(stopped(evaluator.pids("daemon")))
        yield still


@pytest.mark.usefixtures("daemon")
def test_slow_and_failing_answers_are_told_until_they_are_few_again(evaluator: Evaluator) -> None:
    ask = Callers(evaluator.platform)
    ask("/health/live", 60)
    with faulty(evaluator, {"method": "POST */queries", "body": ["page_size"], "delay_seconds": 0.7}):
        ask("/api/v1/admin/tenants", 50)
    with faulty(evaluator, {"method": "POST */queries", "body": ["page_size"], **REFUSED}):
        ask("/api/v1/admin/tenants", 3)
    took = within_seconds(2 * PERIOD, lambda: evaluator.open_rules() >= LEVELS, evaluator.evaluate)
    _log.info("Levels fired within %.0f s", took)

    with faulty(evaluator, {"method": "POST */queries", "body": ["page_size"], **REFUSED}):
        ask("/api/v1/admin/tenants", 5)
    rest = LEVELS - NEVER_WORSE
    took = within_seconds(
        2 * PERIOD, lambda: all(is_worse(evaluator, rule) for rule in rest), evaluator.evaluate
    )
    _log.info("Levels were updated within %.0f s", took)

    def mend() -> None:
        ask("/health/live", 1500)
        evaluator.evaluate()

    took = within_seconds(6 * PERIOD, lambda: not LEVELS & evaluator.open_rules(), mend)
    _log.info("Levels resolved within %.0f s", took)


@pytest.mark.usefixtures("daemon")
def test_what_fails_at_google_is_told_until_it_works_again(evaluator: Evaluator) -> None:
    faults: list[dict[str, object]] = [{"method": method, **how} for method, how in OF_GOOGLE.values()]
    wanted = {*OF_GOOGLE, "kms_failing"}
    with faulty(evaluator, *faults, SLOW_KMS):
        periods = until(lambda: wanted <= evaluator.open_rules(), evaluator.period, 5)
        _log.info("%s fired in %d periods", sorted(wanted), periods)
        until(lambda: is_worse(evaluator, "kms_failing"), evaluator.period, 4)
    with faulty(evaluator, *faults):
        rest = set(OF_GOOGLE) - NEVER_WORSE
        # an index ages by the clock
        within_seconds(3 * PERIOD, lambda: all(is_worse(evaluator, rule) for rule in rest), evaluator.period)
    # a service elsewhere of which nobody could say that there is none is gone when a round does not find it
    took = within_seconds(3 * PERIOD, lambda: not wanted & evaluator.open_rules(), evaluator.period)
    _log.info("They resolved within %.0f s", took)


@pytest.mark.usefixtures("daemon")
def test_what_nobody_goes_on_with_is_told_until_somebody_does(evaluator: Evaluator) -> None:
    """What is wrong without any process being so: runs, requests and rollouts that are left alone, keys and quotas."""
    wanted = {
        *("runs_failing", "runs_wait", "requests_stuck", "release_waits"),
        *("key_rotation_soon", "key_rotation_overdue", "certificate_expires"),
    }
    strained = replace(
        evaluator,
        changed=SHORTENED,
        strained={"admin_key_rotation_days": 10},
    )
    with left_alone(strained):
        fail_a_run(strained)
        periods = until(lambda: wanted <= evaluator.open_rules(), strained.period, 3)
        _log.info("%s fired in %d periods", sorted(wanted), periods)
        for _ in range(2):
            fail_a_run(strained)
        strained = replace(strained, strained={"admin_key_rotation_days": 4})
        rest = wanted - NEVER_WORSE
        until(lambda: all(is_worse(evaluator, rule) for rule in rest), strained.period, 4)
    forget_failed_runs(strained)
    periods = until(lambda: not wanted & evaluator.open_rules(), evaluator.period, 3)
    _log.info("They resolved in %d periods", periods)


@pytest.mark.usefixtures("daemon")
def test_a_front_door_that_stands_still_is_told_until_it_goes_on(evaluator: Evaluator) -> None:
    wanted = {"service_down", "tagged_revision_down", "certificate_failing"}
    with stopped(
        [evaluator.supervisor, *evaluator.pids("front_door")]
    ):  # the supervisor would start it again
        periods = until(lambda: wanted <= evaluator.open_rules(), evaluator.period, 4)
        _log.info("%s fired in %d periods", sorted(wanted), periods)
        until(lambda: all(is_worse(evaluator, rule) for rule in wanted), evaluator.period, 5)
    periods = until(lambda: not wanted & evaluator.open_rules(), evaluator.period, 4)
    _log.info("They resolved in %d periods", periods)


def test_a_daemon_that_stands_still_is_told_until_it_goes_on(evaluator: Evaluator, daemon: ExitStack) -> None:
    wanted = {"dagster_down", "sensor_stale", "sensor_failing"}
    strained = replace(evaluator, changed={"sensor_stale": {"threshold": 15}})
    within_seconds(4 * PERIOD, lambda: all(is_worse(evaluator, rule) for rule in wanted), strained.period)
    daemon.close()
    took = within_seconds(3 * PERIOD, lambda: not wanted & evaluator.open_rules(), evaluator.launched_period)
    _log.info("They resolved within %.0f s", took)


def test_every_rule_was_caused_here(evaluator: Evaluator) -> None:
    told = evaluator.told()
    for rule in {rule.name for rule in rule_book().rules} - ELSEWHERE:
        states = told.get(rule, [])
        assert states[:1] == [AlertKind.OPENED], rule
        assert AlertKind.RESOLVED in states, rule
        assert AlertKind.UPDATED in states or rule in NEVER_WORSE, rule
    assert evaluator.open_rules() <= LEVELS  # what the later tests break makes requests fail too


def is_worse(evaluator: Evaluator, rule: str) -> bool:
    return AlertKind.UPDATED in evaluator.told().get(rule, [])


@contextmanager
def faulty(evaluator: Evaluator, *rules: dict[str, object]) -> Iterator[None]:
    evaluator.fault(*rules)
    try:
        yield
    finally:
        evaluator.fault()


class Callers:
    """Asks the API, eight callers at a time."""

    def __init__(self, platform: Platform) -> None:
        self.platform = platform

    def __call__(self, path: str, times: int) -> None:
        key = self.platform.admin_key
        with (
            httpx.Client(base_url=self.platform.api_url, headers={"X-Admin-Key": key}, timeout=60) as client,
            ThreadPoolExecutor(8) as callers,
        ):
            list(callers.map(lambda _: client.get(path).status_code, range(times)))


@contextmanager
def left_alone(evaluator: Evaluator) -> Iterator[None]:
    """A request, a run and a rollout with which nobody goes on, as whoever is killed leaves them."""
    client = bigquery_client(evaluator.settings)
    requests, releases = TenantRequests(BigQuery(client)), ReleaseEvents(BigQuery(client))
    asked = RequestEvent(
        request_id=RequestId("req_left_alone"),
        tenant_id=TenantId("leftalone"),
        kind=RequestKind.ONBOARD,
        state=RequestState.REQUESTED,
        recorded_at=datetime.now(UTC),
        actor="test",
        parameters=NewTenant(TenantId("leftalone")),
    )
    rollout = ReleaseEvent(
        event_id="left-alone-1",
        release_id=ReleaseId("left-alone"),
        environment="staging",
        service="another-api",
        kind=EventKind.HANDED_OVER,
        recorded_at=datetime.now(UTC) - timedelta(seconds=9),
        revision=RevisionName("another-2"),
        stable_revision=RevisionName("another-1"),
    )
    paused = replace(rollout, event_id="left-alone-2", kind=EventKind.PAUSED, recorded_at=datetime.now(UTC))
    requests.append(asked)
    releases.append(rollout, paused)
    with evaluator.instance() as instance:
        run = instance.create_run_for_job(never())
        try:
            yield
        finally:
            instance.delete_run(run.run_id)
    ended = datetime.now(UTC)
    requests.append(
        replace(asked, state=RequestState.FAILED, recorded_at=ended, error_code=ErrorCode.INVALID_ARGUMENT)
    )
    releases.append(replace(rollout, event_id="left-alone-3", kind=EventKind.STOPPED, recorded_at=ended))
    client.close()  # type: ignore[no-untyped-call]


def never() -> dg.JobDefinition:
    """A job whose run nobody launches."""

    @dg.job
    def never_launched() -> None:
        """Nothing."""

    return never_launched


def fail_a_run(evaluator: Evaluator) -> None:
    wrong = {"ops": {"unsilence": {"config": {"silence": "sil_none"}}}}
    assert evaluator.run("unsilence_alerts", wrong).is_failure


def forget_failed_runs(evaluator: Evaluator) -> None:
    """As if a quarter of an hour had passed."""
    failed = dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE])
    with evaluator.instance() as instance:
        for run in instance.get_runs(failed):
            instance.delete_run(run.run_id)
