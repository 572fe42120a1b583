from datetime import timedelta

from convergence_orchestration.errors import ErrorCode, TransientError
from convergence_orchestration.health.alerting.model import Metric, Observation, Seen
from convergence_orchestration.health.alerting.rules import RuleWindow
from convergence_orchestration.health.alerting.sources import keys, levels, releases, requests, runs
from convergence_orchestration.health.alerting.sources.checks import FRESH, NAME, of_checks
from convergence_orchestration.health.alerting.sources.looking import Source, look_at
from convergence_orchestration.health.levels.computing import Counted
from convergence_orchestration.health.model import Measure, ProbeName, ProbeResult, ProbeStatus
from convergence_orchestration.releases.model import EventKind, ReleaseEvent, ReleaseId, RevisionName
from convergence_orchestration.tenancy.asked import RequestKind
from convergence_orchestration.tenancy.model import TenantId
from convergence_orchestration.tenancy.request_model import RequestId, RequestState
from convergence_orchestration.tenancy.requests import UnfinishedRequest
from convergence_orchestration_tests.health.builders import NOW, result

MINUTE = timedelta(minutes=1)
LONG_AGO = NOW - timedelta(days=1)
HEALTHY, UNHEALTHY, UNKNOWN = ProbeStatus


def values(seen: Seen, metric: Metric) -> dict[str, float | None]:
    return {one.subject: one.value for one in seen.observations if one.metric is metric}


def one(seen: Seen, metric: Metric) -> Observation:
    (found,) = [each for each in seen.observations if each.metric is metric]
    return found


def round_of(*statuses: ProbeStatus, **fields: object) -> list[ProbeResult]:
    """Results of one target a minute apart, the newest now."""
    return [result(status, NOW - n * MINUTE, **fields) for n, status in enumerate(reversed(statuses))]  # type: ignore[arg-type]


def test_failures_are_counted_in_a_row_and_what_could_not_be_asked_is_one() -> None:
    seen = of_checks(round_of(HEALTHY, UNHEALTHY, UNKNOWN, UNHEALTHY), "development", NOW, LONG_AGO)
    failures = one(seen, Metric.PROBE_FAILURES)
    assert (failures.value, failures.probe, failures.subject) == (
        3,
        "api_live",
        "api_live https://api.example",
    )
    assert failures.words == "It was not healthy, 3 times in a row."
    assert Metric.PROBE_FAILURES in seen.whole
    assert values(
        of_checks(round_of(UNKNOWN, HEALTHY), "development", NOW, LONG_AGO), Metric.PROBE_FAILURES
    ) == {"api_live https://api.example": 0}


def test_a_revision_at_its_tag_is_not_the_service() -> None:
    seen = of_checks(round_of(UNKNOWN, revision="api-2"), "development", NOW, LONG_AGO)
    assert list(values(seen, Metric.TAG_FAILURES).values()) == [1]
    assert values(seen, Metric.PROBE_FAILURES) == {}


def test_what_probes_measure_is_observed_and_what_they_could_not_measure_is_unknown() -> None:
    found = [
        result(probe=ProbeName.TLS, target="a", measured={Measure.DAYS_LEFT: 3.0}),
        result(UNKNOWN, probe=ProbeName.TLS, target="b"),
        result(probe=ProbeName.API_HEALTH, measured={Measure.CLOCK_OFFSET_SECONDS: -40.0}),
        result(probe=ProbeName.SENSOR_LAG, target="s", measured={Measure.LAG_SECONDS: 7.0}),
        result(
            probe=ProbeName.BIGQUERY_QUOTA,
            at=NOW - 10 * MINUTE,
            target="p",
            measured={Measure.USED_SHARE: 0.9},
        ),
        result(probe=ProbeName.BIGQUERY_QUOTA, target="p"),  # bytes are not asked for each time
    ]
    seen = of_checks(found, "development", NOW, LONG_AGO)
    assert values(seen, Metric.CERTIFICATE_DAYS_LEFT) == {"tls a": 3.0, "tls b": None}
    assert one(seen, Metric.CLOCK_OFFSET_SECONDS).value == 40.0
    assert one(seen, Metric.SENSOR_LAG_SECONDS).value == 7.0
    assert one(seen, Metric.QUOTA_USED_SHARE).value == 0.9


def test_a_target_that_is_looked_at_no_more_is_gone_but_only_if_others_are_looked_at() -> None:
    gone, there = result(UNKNOWN, NOW - MINUTE, target="gone"), result(target="there")
    seen = of_checks([gone, there], "development", NOW, LONG_AGO)
    assert values(seen, Metric.PROBE_FAILURES) == {"api_live there": 0}
    assert Metric.PROBE_FAILURES in seen.whole

    later = NOW + FRESH
    for found in ([gone], []):
        nothing = of_checks(found, "development", later, LONG_AGO)
        assert [(each.metric, each.subject, each.value) for each in nothing.observations] == [
            (Metric.SOURCE_FAILURES, NAME, 1.0)
        ]
        assert nothing.whole == frozenset()


def test_after_a_start_probes_have_time_to_look_and_nothing_is_said_of_them_yet() -> None:
    def look() -> Seen:
        return of_checks([], "development", NOW, NOW - FRESH)

    assert values(look_at([Source(NAME, look)], "development"), Metric.SOURCE_FAILURES) == {NAME: None}


def test_a_sensor_that_has_not_ticked_yet_does_not_fail() -> None:
    lag = {"probe": ProbeName.SENSOR_LAG, "target": "sensor:s"}
    seen = of_checks(round_of(UNKNOWN, UNKNOWN, **lag), "development", NOW, LONG_AGO)
    assert values(seen, Metric.TICK_FAILURES) == {"sensor_lag sensor:s": 0}
    seen = of_checks(round_of(HEALTHY, UNHEALTHY, UNHEALTHY, **lag), "development", NOW, LONG_AGO)
    assert values(seen, Metric.TICK_FAILURES) == {"sensor_lag sensor:s": 2}


def test_a_source_that_cannot_be_read_is_told_and_hides_no_other() -> None:
    def refuse() -> Seen:
        raise TransientError(ErrorCode.UNAVAILABLE, "BigQuery is down.")

    def break_down() -> Seen:
        raise ValueError("secret")

    good = Seen((Observation(Metric.FAILED_RUNS, "staging", "job", 1.0),), frozenset({Metric.FAILED_RUNS}))
    sources = [Source("refuses", refuse), Source("breaks", break_down), Source("works", lambda: good)]
    seen = look_at(sources, "staging")

    assert values(seen, Metric.SOURCE_FAILURES) == {"refuses": 1.0, "breaks": 1.0, "works": 0.0}
    words = {each.subject: each.words for each in seen.observations}
    assert words["refuses"] == "BigQuery is down."
    assert words["breaks"] == "Reading it failed with ValueError."
    assert values(seen, Metric.FAILED_RUNS) == {"job": 1.0}
    assert seen.whole == {Metric.FAILED_RUNS}


def test_the_oldest_unfinished_request_is_observed() -> None:
    def request(minutes: int) -> UnfinishedRequest:
        at = NOW - minutes * MINUTE
        return UnfinishedRequest(
            RequestId(f"req-{minutes}"),
            TenantId("acme"),
            RequestKind.ONBOARD,
            RequestState.RUNNING,
            2,
            None,
            None,
            None,
            at,
            at,
        )

    seen = one(
        requests.of_requests([request(3), request(20)], "development", NOW), Metric.STUCK_REQUEST_SECONDS
    )
    assert seen.value == 1200
    assert "req-20" in seen.words
    assert "1 more are not finished" in seen.words
    assert one(requests.of_requests([], "development", NOW), Metric.STUCK_REQUEST_SECONDS).value == 0


def test_a_rollout_that_waits_for_a_person_is_observed_until_it_goes_on() -> None:
    def event(kind: EventKind, minutes: int) -> ReleaseEvent:
        return ReleaseEvent(
            event_id=f"{kind}",
            release_id=ReleaseId("v2"),
            environment="staging",
            service="api",
            kind=kind,
            recorded_at=NOW - minutes * MINUTE,
            revision=RevisionName("api-2"),
            stable_revision=RevisionName("api-1"),
            reason="Because.",
        )

    handed_over, paused = event(EventKind.HANDED_OVER, 9), event(EventKind.PAUSED, 5)
    waits = one(releases.of_releases([paused, handed_over], NOW), Metric.RELEASE_WAITS_SECONDS)
    assert (waits.environment, waits.subject, waits.value) == ("staging", "api", 300)
    assert waits.words == "Release v2 waits since 2026-11-23 11:55:00 UTC. Because."
    resumed = releases.of_releases([handed_over, paused, event(EventKind.RESUMED, 1)], NOW)
    assert one(resumed, Metric.RELEASE_WAITS_SECONDS).value == 0
    assert releases.of_releases([], NOW).observations == ()


def test_failed_runs_are_counted_by_job_while_they_are_news() -> None:
    failed = [
        runs.FailedRun("1", "deploy_service", NOW - 3 * MINUTE),
        runs.FailedRun("2", "deploy_service", NOW - 2 * MINUTE),
        runs.FailedRun("3", "bootstrap", NOW - 16 * MINUTE),
        runs.FailedRun("4", "tenant_pipeline", NOW),
    ]
    seen = runs.of_runs(failed, "development", NOW)
    assert values(seen, Metric.FAILED_RUNS) == {"deploy_service": 2}
    assert one(seen, Metric.FAILED_RUNS).words == "The last one is 2, at 11:58:00 UTC."
    assert seen.whole == {Metric.FAILED_RUNS}


def test_a_key_that_is_never_due_is_unknown_and_one_that_was_due_counts_below_zero() -> None:
    assert keys.days_left("development", "key", None, NOW).value is None
    assert keys.days_left("development", "key", NOW - timedelta(days=2), NOW).value == -2


def test_levels_of_a_window_are_observed_and_what_was_not_counted_is_unknown() -> None:
    counted = levels.Levels(RuleWindow.FIVE_MINUTES, Counted(200, 4), 321.0)
    seen = {each.metric: each for each in levels.of_levels(counted, "development", "api")}
    assert {metric: each.value for metric, each in seen.items()} == {
        Metric.P95_MS: 321.0,
        Metric.ERROR_RATE: 0.02,
        Metric.BURN_RATE: 0.02 / (1 - 0.999),
    }
    assert {(each.window, each.requests, each.words) for each in seen.values()} == {
        ("5m", 200, "Of 200 requests in 5m 4 failed.")
    }
    for counts in (None, Counted(0, 0), Counted(5, None)):
        nothing = levels.of_levels(levels.Levels(RuleWindow.HOUR, counts), "development", "api")
        assert {each.value for each in nothing} == {None}
