"""Whatever is seen in whatever order, some things never happen to an alert or to what people are told of it."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from convergence_orchestration.health.alerting.channels import LOG_CHANNEL, Channel
from convergence_orchestration.health.alerting.evaluation import evaluate
from convergence_orchestration.health.alerting.history import fold
from convergence_orchestration.health.alerting.model import AlertEvent, AlertKind, Phase, Seen
from convergence_orchestration.health.alerting.outbox import delivery_event, outbox
from convergence_orchestration_tests.health.alerting.builders import (
    MINUTE,
    NOW,
    SUBJECT,
    Life,
    book,
    rule,
    saw,
    silenced,
)

values = st.one_of(st.none(), st.sampled_from([0.0, 5.0, 10.0, 11.0, 25.0, 100.0]))
rules = st.builds(
    lambda evaluations, resolve_after: book(rule(evaluations=evaluations, resolve_after=resolve_after)),
    st.integers(1, 4),
    st.integers(1, 4),
)
_STARTS, _ENDS = frozenset({AlertKind.OPENED}), frozenset({AlertKind.RESOLVED})


@given(rules, st.lists(values, max_size=60))
def test_alerts_open_and_resolve_in_turn_and_rest_on_known_values_alone(
    rules: object, seen: list[float | None]
) -> None:
    life = Life(rules)  # type: ignore[arg-type]
    is_open = False
    for value in seen:
        before = len(life.events)
        life.see(value)
        news = life.events[before:]
        assert value is not None or not news
        for event in news:
            assert not (event.kind in _STARTS and is_open)
            assert not (event.kind in _ENDS and not is_open)
            assert (value or 0) > 10 or event.kind not in {
                AlertKind.OPENED,
                AlertKind.UPDATED,
                AlertKind.PENDING,
            }
            assert (value or 0) <= 10 or event.kind not in {AlertKind.RESOLVED, AlertKind.RECOVERING}
            is_open = (is_open or event.kind in _STARTS) and event.kind not in _ENDS
    alert = fold(life.events, life.now).alerts.get(SUBJECT)
    assert is_open == (alert is not None and alert.phase is not Phase.PENDING)


@given(rules, st.lists(values, max_size=30))
def test_an_alert_opens_and_resolves_only_behind_as_many_evaluations_as_its_rule_wants(
    rules: object, seen: list[float | None]
) -> None:
    life = Life(rules)  # type: ignore[arg-type]
    (only,) = life.rules.rules
    known = [value for value in seen if value is not None]
    life.see(*seen)
    shadow = Life(life.rules)
    shadow.see(*known)
    assert [one.kind for one in life.events] == [one.kind for one in shadow.events]  # unknown changes nothing
    for event in life.events:
        past = known[: _known_until(seen, event)]
        if event.kind is AlertKind.OPENED:
            assert all(v > 10 for v in past[-only.evaluations :])
            assert len(past) >= only.evaluations
        if event.kind is AlertKind.RESOLVED:
            assert all(v <= 10 for v in past[-only.resolve_after :])


def _known_until(seen: list[float | None], event: AlertEvent) -> int:
    place = round((event.recorded_at - NOW) / MINUTE)
    return sum(value is not None for value in seen[:place])


@given(
    rules,
    st.lists(st.tuples(values, st.booleans(), st.integers(0, 5)), max_size=40),
)
def test_evaluations_that_are_cut_off_anywhere_and_made_again_record_what_one_would_have(
    rules: object, seen: list[tuple[float | None, bool, int]]
) -> None:
    """Each look is of two subjects; it is killed behind storing some of its events, and made again at the same time."""
    straight = Life(rules)  # type: ignore[arg-type]
    killed: list[AlertEvent] = []
    for value, is_killed, stored in seen:
        look = Seen((saw(value), saw(value, "other")))
        straight.look(look)
        now = straight.now
        if is_killed:
            killed += evaluate(straight.rules, look, fold(killed, now), now)[:stored]
        killed += evaluate(straight.rules, look, fold(killed, now), now)
    assert {one.event_id for one in killed} == {one.event_id for one in straight.events}
    assert fold(killed, straight.now) == fold(straight.events, straight.now)


@given(
    st.lists(st.tuples(values, st.booleans(), st.booleans()), max_size=40),
    st.integers(0, 20),
    st.integers(0, 20),
)
def test_every_channel_hears_of_everything_once_it_is_back_and_of_nothing_else(
    seen: list[tuple[float | None, bool, bool]], begins: int, lasts: int
) -> None:
    """The team's channel fails now and then, and the evaluator is killed between telling and writing it down."""
    team = Channel("team", url="json://nobody")  # type: ignore[arg-type]
    life = Life()
    life.events.append(silenced(NOW + (begins + lasts) * MINUTE, at=NOW + begins * MINUTE))
    heard: list[str] = []
    for value, is_down, is_killed in seen:
        life.look(Seen((saw(value),)))
        for mail in outbox(life.events, [LOG_CHANNEL, team], life.now):
            for event in mail.events:
                is_lost = is_down and mail.channel is team
                if mail.channel is team and not is_lost:
                    heard.append(event.event_id)
                if is_killed:
                    break
                failures = mail.failures + 1 if is_lost else 0
                life.events.append(delivery_event(event, mail.channel.name, life.now, failures))
                if is_lost:
                    break
    life.now += timedelta(hours=2)
    heard += [event.event_id for mail in outbox(life.events, [team], life.now) for event in mail.events]
    wanted = {
        one.event_id
        for one in life.events
        if one.silenced_until is None
        and one.kind in {AlertKind.OPENED, AlertKind.UPDATED, AlertKind.REMINDED, AlertKind.RESOLVED}
    }
    assert set(heard) == wanted
