"""Telling real channels: a webhook of this process through apprise, and the log."""

import io
import json
import logging
import time
from collections.abc import Iterator
from contextlib import redirect_stderr

import pytest
from pydantic import SecretStr

from convergence_orchestration import logs
from convergence_orchestration.errors import ErrorCode, PermanentError, TransientError
from convergence_orchestration.health.alerting.channels import LOG_CHANNEL, Channel
from convergence_orchestration.health.alerting.delivery import Deliveries, send_all
from convergence_orchestration.health.alerting.model import AlertEvent, AlertKind, Severity, Subject
from convergence_orchestration.health.alerting.outbox import Mail, delivery_event
from convergence_orchestration.health.alerting.trying import try_channels
from convergence_orchestration.health.alerting.words import Notification, notification
from convergence_orchestration.settings import load_settings
from convergence_orchestration_tests.emulators import free_port
from convergence_orchestration_tests.health.alerting.builders import MINUTE, NOW, book, event
from convergence_orchestration_tests.health.alerting.receiver import Receiver, receiving

OPENED, RESOLVED = event(), event(AlertKind.RESOLVED, NOW + MINUTE)
SAID = Notification("title", "body", Severity.CRITICAL, is_over=False)


@pytest.fixture(scope="module")
def webhook() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


@pytest.fixture(autouse=True)
def works(webhook: Receiver) -> None:
    webhook.told.clear()
    webhook.is_down, webhook.seconds = False, 0.0


def channel(url: str, name: str = "team") -> Channel:
    return Channel(name, SecretStr(url))


def deliveries(recorded: list[AlertEvent], seconds: float = 10) -> Deliveries:
    return Deliveries(book(), recorded.extend, lambda: NOW, seconds)


def test_a_channel_is_told_in_order_and_that_is_written_down(webhook: Receiver) -> None:
    recorded: list[AlertEvent] = []
    sent = deliveries(recorded).deliver([Mail(channel(webhook.url), (OPENED, RESOLVED), 0)])

    assert webhook.titles == [
        "[CRITICAL] too_many opened: thing (production)",
        "[CRITICAL] too_many resolved: thing (production)",
    ]
    assert [one["type"] for one in webhook.told] == ["failure", "success"]
    assert recorded == [delivery_event(one, "team", NOW) for one in (OPENED, RESOLVED)]
    assert [(one.channel, one.why) for one in sent] == [("team", "")] * 2


def test_a_message_says_what_is_wrong_since_when_what_was_done_and_where_the_cure_is(
    webhook: Receiver,
) -> None:
    deliveries([]).deliver([Mail(channel(webhook.url), (OPENED,), 0)])
    body = webhook.told[0]["message"]
    for part in (
        "There are too many.",
        "Measured: 11 (the rule fires at > 10).",
        "Since 2026-11-23 12:00:00 UTC",
        "What the system did: Nothing was done about it.",
        "What to do: docs/runbooks/too_many.md",
        OPENED.event_id,
    ):
        assert part in body


def test_what_one_evaluation_finds_of_one_rule_is_one_message_and_a_row_for_each(webhook: Receiver) -> None:
    subjects = [Subject("too_many", "production", name) for name in ("a", "b", "c")]
    found = tuple(event(about_subject=subject, message=f"{subject.subject} is.") for subject in subjects)
    recorded: list[AlertEvent] = []
    deliveries(recorded).deliver([Mail(channel(webhook.url), (*found, RESOLVED), 0)])

    assert webhook.titles == [
        "[CRITICAL] too_many opened: 3 subjects (production)",
        "[CRITICAL] too_many resolved: thing (production)",
    ]
    body = webhook.told[0]["message"]
    assert all(f"{name}: {name} is." in body for name in "abc")
    assert body.count("What to do: docs/runbooks/too_many.md") == 1
    assert [one.about for one in recorded] == [one.event_id for one in (*found, RESOLVED)]


def test_behind_a_failure_the_rest_waits_and_other_channels_are_told(webhook: Receiver) -> None:
    webhook.is_down = True
    recorded: list[AlertEvent] = []
    mails = [Mail(channel(webhook.url), (OPENED, RESOLVED), 2), Mail(LOG_CHANNEL, (OPENED, RESOLVED), 0)]
    sent = deliveries(recorded).deliver(mails)

    assert [(one.channel, one.why) for one in sent] == [
        ("team", "It refused the message, or could not be reached."),
        ("log", ""),
        ("log", ""),
    ]
    assert [(one.kind, one.channel, one.streak) for one in recorded] == [
        (AlertKind.UNDELIVERED, "team", 3),
        (AlertKind.NOTIFIED, "log", 0),
        (AlertKind.NOTIFIED, "log", 0),
    ]


def test_a_channel_that_does_not_answer_takes_no_longer_than_the_deadline(webhook: Receiver) -> None:
    webhook.seconds = 3
    began = time.monotonic()
    whys = send_all([(channel(webhook.url), (), SAID), (LOG_CHANNEL, (), SAID)], seconds=0.5)
    assert time.monotonic() - began < 2
    assert whys == ["It did not take the message within 0.5 s.", ""]


def test_whom_was_told_and_could_not_be_written_down_is_told_again(webhook: Receiver) -> None:
    def fail(_events: object) -> None:
        raise TransientError(ErrorCode.UNAVAILABLE, "BigQuery is down.")

    mails = [Mail(channel(webhook.url), (OPENED, RESOLVED), 0)]
    with pytest.raises(TransientError):
        Deliveries(book(), fail, lambda: NOW).deliver(mails)
    deliveries([]).deliver(mails)
    assert [title.split()[2] for title in webhook.titles] == ["opened:", "opened:", "resolved:"]


@pytest.mark.parametrize(
    "url", ["nonsense", "nothing://secret-of-the-webhook", "slack://secret-of-the-webhook", ""]
)
def test_a_url_that_apprise_does_not_know_is_said_to_be_one_and_not_shown(url: str) -> None:
    log = io.StringIO()
    with redirect_stderr(log):
        (why,) = send_all([(channel(url), (), SAID)])
    assert why == "apprise does not know this kind of URL, or it lacks a part."
    assert "secret-of-the-webhook" not in log.getvalue()


def test_no_log_line_holds_a_channels_url(webhook: Receiver, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    webhook.is_down = True
    nobody = f"json://127.0.0.1:{free_port()}/?token=secret-of-the-webhook"
    whys = send_all([(channel(webhook.url), (), SAID), (channel(nobody), (), SAID)])
    assert all(whys)
    assert "secret-of-the-webhook" not in caplog.text + "".join(whys)


def test_the_log_gets_a_json_line_with_the_severity(monkeypatch: pytest.MonkeyPatch) -> None:
    log = io.StringIO()
    monkeypatch.setattr("sys.stderr", log)
    handlers = logging.getLogger().handlers
    logs.configure(load_settings(_env_file=None))
    try:
        send_all([(LOG_CHANNEL, [OPENED], notification([OPENED], book()))])
    finally:
        logging.getLogger().handlers = handlers
    line = json.loads(log.getvalue())
    assert line["severity"] == "CRITICAL"
    assert line["msg"] == "[CRITICAL] too_many opened: thing (production)"
    assert line["rule"] == "too_many"
    assert line["observed"] == 11.0
    assert line["runbook"] == "docs/runbooks/too_many.md"


def test_trying_a_channel_tells_it_and_says_who_did_not_take_it(webhook: Receiver) -> None:
    channels = [LOG_CHANNEL, channel(webhook.url), channel("nonsense", "broken")]
    whys = try_channels(channels, "", "staging", NOW)
    assert {name for name, why in whys.items() if not why} == {"log", "team"}
    assert webhook.titles == ["[TEST] alerts of staging reach you"]
    assert try_channels(channels, "team", "staging", NOW) == {"team": ""}
    with pytest.raises(PermanentError, match="log, team, broken"):
        try_channels(channels, "nobody", "staging", NOW)
