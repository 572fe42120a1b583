from datetime import timedelta

import pytest

from convergence_orchestration.health.alerting.evaluation import evaluate, patience
from convergence_orchestration.health.alerting.history import fold
from convergence_orchestration.health.alerting.model import AlertKind, Metric, Phase, Seen, Subject
from convergence_orchestration.health.alerting.rules import RuleWindow
from convergence_orchestration.health.model import ProbeName
from convergence_orchestration_tests.health.alerting.builders import (
    MINUTE,
    NOW,
    SUBJECT,
    WHERE,
    Life,
    book,
    kinds,
    rule,
    saw,
    silenced,
)


def test_an_alert_opens_once_however_long_the_condition_holds() -> None:
    life = Life()
    assert life.see(5, 11, 11, 12, 11) == ["OPENED"]
    assert fold(life.events, life.now).alerts[SUBJECT].phase is Phase.OPEN


def test_an_alert_opens_when_the_condition_has_held_as_often_in_a_row_as_its_rule_says() -> None:
    life = Life(book(rule(evaluations=3)))
    assert life.see(11, 11) == ["PENDING", "PENDING"]
    assert life.see(5) == ["CLEARED"]
    assert life.see(11, 11, 11) == ["PENDING", "PENDING", "OPENED"]
    opened = life.events[-1]
    assert opened.opened_at == opened.recorded_at - 2 * MINUTE


def test_an_alert_is_updated_when_its_value_has_become_twice_as_bad_as_what_was_told() -> None:
    life = Life()
    assert life.see(11, 21, 22.5, 40, 12, 46) == ["OPENED", "UPDATED", "UPDATED"]
    assert [event.observed for event in life.events] == [11, 22.5, 46]


@pytest.mark.parametrize(
    ("comparison", "told", "better", "worse"),
    [
        ("<", 12.0, 7.0, 5.0),
        ("<", 0.0, 0.5, -0.5),
        ("<", -2.0, -3.0, -5.0),
        (">", 0.0, 0.0, 0.1),
        (">=", -1.0, -3.0, 1.0),
    ],
)
def test_much_worse_is_measured_in_the_direction_of_the_rule(
    comparison: str, told: float, better: float, worse: float
) -> None:
    made = rule(comparison=comparison)
    assert not made.is_much_worse(better, told)
    assert made.is_much_worse(worse, told)


def test_an_alert_resolves_after_enough_good_evaluations_in_a_row() -> None:
    life = Life(book(rule(resolve_after=3)))
    life.see(11)
    assert life.see(5, 5, 5, 5) == ["RECOVERING", "RECOVERING", "RESOLVED"]
    assert fold(life.events, life.now).alerts == {}


def test_an_alert_that_recovers_and_relapses_stays_the_same_alert_and_nobody_is_told() -> None:
    life = Life(book(rule(resolve_after=3)))
    life.see(11, 5, 5, 11, 5, 5, 5)
    assert kinds(life.events) == [
        *("OPENED", "RECOVERING", "RECOVERING", "RELAPSED"),
        *("RECOVERING", "RECOVERING", "RESOLVED"),
    ]
    assert len({event.alert_id for event in life.events}) == 1
    assert life.told() == ["OPENED", "RESOLVED"]


def test_what_comes_and_goes_needs_ever_more_good_evaluations_to_resolve() -> None:
    life = Life(book(rule(resolve_after=1)))
    for _ in range(25):
        life.see(11, 5)
    assert life.told().count("OPENED") == 2  # the second one never sees two good evaluations in a row
    assert life.see(5) == ["RESOLVED"]


@pytest.mark.parametrize(("resolved", "needed"), [(0, 2), (1, 4), (2, 8), (3, 16), (9, 16)])
def test_patience_doubles_with_each_alert_of_the_last_hour_up_to_eightfold(
    resolved: int, needed: int
) -> None:
    moments = [NOW - n * MINUTE for n in range(resolved)]
    assert patience(rule(resolve_after=2), [*moments, NOW - timedelta(hours=2)], NOW) == needed


def test_an_unknown_value_changes_nothing_in_any_phase() -> None:
    life = Life(book(rule(evaluations=2, resolve_after=2)))
    assert life.see(None, 11, None, 11, None, 5, None, None, 5) == [
        "PENDING",
        "OPENED",
        "RECOVERING",
        "RESOLVED",
    ]


def test_a_subject_that_is_missing_is_unknown_unless_all_there_are_were_seen() -> None:
    life = Life()
    life.see(11)
    for _ in range(5):
        assert life.look(Seen()) == []
    gone = Seen((saw(3, "other"),), frozenset({Metric.FAILED_RUNS}))
    assert life.look(gone) == ["RECOVERING"]
    assert life.look(gone) == ["RESOLVED"]
    assert "not there any more" in life.events[-1].message


def test_each_subject_has_an_alert_of_its_own() -> None:
    life = Life()
    assert life.look(Seen((saw(11, "a"), saw(12, "b"), saw(1, "c")))) == ["OPENED", "OPENED"]
    assert {event.about_subject.subject for event in life.events} == {"a", "b"}
    assert len({event.alert_id for event in life.events}) == 2


def test_an_alert_that_stays_open_is_told_again_at_the_interval_of_its_severity() -> None:
    life = Life()
    life.see(11)
    assert life.look(Seen((saw(12),)), timedelta(minutes=59)) == []
    assert life.look(Seen((saw(12),))) == ["REMINDED"]
    assert life.events[-1].observed == 12
    assert life.look(Seen((saw(12),))) == []


def test_a_reminder_of_what_is_unknown_says_so() -> None:
    life = Life()
    life.see(11)
    assert life.look(Seen(), timedelta(hours=1)) == ["REMINDED"]
    assert life.events[-1].message.endswith("How it is now is not known.")
    assert life.events[-1].observed == 11


def test_a_reminder_neither_counts_as_a_look_nor_interrupts_recovering() -> None:
    life = Life(book(rule(resolve_after=3)))
    life.see(11, 5)
    assert life.look(Seen(), timedelta(hours=1)) == ["REMINDED"]
    assert life.see(5, 5) == ["RECOVERING", "RESOLVED"]


def test_a_silence_keeps_from_telling_and_not_from_recording() -> None:
    life = Life()
    life.events.append(silenced(NOW + timedelta(minutes=3)))
    assert life.see(11, 25) == ["OPENED", "UPDATED"]
    assert life.told() == []
    assert {event.silenced_until for event in life.events if event.kind is not AlertKind.SILENCED} == {
        NOW + timedelta(minutes=3)
    }


def test_what_is_still_open_when_the_silence_ends_is_told_at_once() -> None:
    life = Life()
    life.events.append(silenced(NOW + timedelta(minutes=3)))
    assert life.see(11, 11) == ["OPENED"]
    assert life.see(11) == ["REMINDED"]
    assert life.told() == ["REMINDED"]


def test_nobody_is_told_that_something_was_resolved_that_nobody_heard_of() -> None:
    life = Life()
    life.events.append(silenced(NOW + timedelta(minutes=2)))
    assert life.see(11, 5, 5) == ["OPENED", "RECOVERING", "RESOLVED"]
    assert life.told() == []


def test_a_silence_covers_the_rule_the_subject_and_the_environment_that_it_names() -> None:
    life = Life()
    life.events.append(silenced(NOW + timedelta(hours=1), Subject("too_many", WHERE, "a")))
    life.look(Seen((saw(11, "a"), saw(11, "b"), saw(11, "a", environment="staging"))))
    told = [event.about_subject for event in life.events if event.silenced_until is None]
    assert told == [Subject("too_many", WHERE, "b"), Subject("too_many", "staging", "a")]


def test_an_evaluation_that_is_made_again_yields_the_same_events_or_none() -> None:
    seen = Seen((saw(11), saw(12, "other")))
    first = evaluate(book(), seen, fold([], NOW), NOW)
    assert evaluate(book(), seen, fold([], NOW), NOW) == first
    half = fold(first[:1], NOW)
    assert evaluate(book(), seen, half, NOW) == first[1:]
    assert evaluate(book(), seen, fold(first, NOW), NOW) == []


def test_an_alert_whose_rule_is_gone_ends() -> None:
    life = Life(book(rule(), rule(name="pending", evaluations=2)))
    life.see(11)
    life.rules = book(rule(name="other"))
    assert sorted(life.see(5)) == ["CLEARED", "RESOLVED"]
    assert fold(life.events, life.now).alerts == {}


def test_too_few_requests_say_nothing() -> None:
    windowed = {"metric": Metric.ERROR_RATE, "windows": (RuleWindow.FIVE_MINUTES,), "threshold": 0.01}
    life = Life(book(rule(**windowed, minimum_requests=100)))

    def rate(value: float, requests: int | None) -> Seen:
        return Seen((saw(value, metric=Metric.ERROR_RATE, window="5m", requests=requests),))

    assert life.look(rate(1 / 99, 99)) == []
    assert life.look(rate(0.5, None)) == []
    assert life.look(rate(0.02, 100)) == ["OPENED"]
    assert life.look(rate(0.0, 99)) == []
    assert life.look(rate(0.0, 100)) == ["RECOVERING"]


@pytest.mark.parametrize(
    ("hour", "five_minutes", "recorded"),
    [
        (15.0, 15.0, ["OPENED"]),
        (15.0, 14.0, []),
        (14.0, 15.0, []),
        (15.0, None, []),
        (None, 15.0, []),
        (None, None, []),
    ],
)
def test_a_burn_rate_fires_only_when_both_windows_burn(
    hour: float | None, five_minutes: float | None, recorded: list[str]
) -> None:
    windows = (RuleWindow.HOUR, RuleWindow.FIVE_MINUTES)
    life = Life(book(rule(metric=Metric.BURN_RATE, windows=windows, threshold=14.4)))
    seen = Seen(
        (
            saw(hour, metric=Metric.BURN_RATE, window="1h"),
            saw(five_minutes, metric=Metric.BURN_RATE, window="5m"),
            saw(99.0, metric=Metric.BURN_RATE, window="6h"),
        )
    )
    assert life.look(seen) == recorded


def test_one_good_window_resolves_a_burn_rate_even_if_the_other_is_unknown() -> None:
    windows = (RuleWindow.HOUR, RuleWindow.FIVE_MINUTES)
    life = Life(book(rule(metric=Metric.BURN_RATE, windows=windows, threshold=14.4, resolve_after=1)))
    life.look(
        Seen((saw(20, metric=Metric.BURN_RATE, window="1h"), saw(20, metric=Metric.BURN_RATE, window="5m")))
    )
    assert life.look(Seen((saw(0, metric=Metric.BURN_RATE, window="5m"),))) == ["RESOLVED"]


def test_a_rule_looks_at_the_probes_that_it_names_alone() -> None:
    life = Life(book(rule(metric=Metric.PROBE_FAILURES, threshold=2, probes=(ProbeName.TLS,))))

    def failing(probe: str) -> Seen:
        return Seen((saw(3, metric=Metric.PROBE_FAILURES, probe=probe),))

    assert life.look(failing("api_live")) == []
    assert life.look(failing("tls")) == ["OPENED"]


def test_two_parts_of_what_is_seen_are_whole_only_where_both_are() -> None:
    runs, index = Metric.FAILED_RUNS, Metric.INDEX_AGE_SECONDS
    one = Seen((saw(1),), frozenset({runs}))
    assert (one + Seen((), frozenset({index}))).whole == {runs, index}
    assert (one + Seen((saw(2, "b"),))).whole == frozenset()
    assert (Seen((saw(2, "b"),)) + one).whole == frozenset()
