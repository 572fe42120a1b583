from dataclasses import dataclass, field
from typing import Any

import pytest
from pydantic import SecretStr

from convergence_orchestration.cli.access import Access
from convergence_orchestration.cli.api_calls import ApiCalls
from convergence_orchestration.cli.batch_following import PATIENCE_SECONDS, Watch
from convergence_orchestration.cli.batch_progress import Tally
from convergence_orchestration.cli.batch_sending import Sending, import_key
from convergence_orchestration.cli.csv_rows import Row, read_rows
from convergence_orchestration.errors import ConvergenceError, ErrorCode, TransientError
from convergence_orchestration_tests.cli.api_standin import ApiStandin, refusal
from convergence_orchestration_tests.cli.batch_answers import (
    BATCH_ID,
    OTHER_BATCH_ID,
    a_failure,
    a_refusal,
    accepted,
    status,
)

BUSY = (503, refusal("unavailable", "Come back later."))


@dataclass
class Time:
    """A clock that only sleeping moves; Ctrl-C is pressed after so many pauses."""

    seconds: float = 0
    pauses: list[float] = field(default_factory=list)
    pauses_until_interrupted: int | None = None

    def watch(self) -> Watch:
        return Watch(lambda: self.seconds, self.sleep)

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.seconds += seconds
        if len(self.pauses) == self.pauses_until_interrupted:
            raise KeyboardInterrupt


def rows(count: int) -> list[Row]:
    return read_rows("\n".join(["tenant_id", *(f"tenant_{number}" for number in range(count))])).good


def sending(
    api: ApiStandin, count: int, time: Time | None = None, seconds: float | None = None
) -> tuple[Sending, list[Tally]]:
    tallies: list[Tally] = []
    calls = ApiCalls(Access(api.url, SecretStr("admin")))
    watch = (time or Time()).watch()
    return Sending(calls, rows(count), tallies.append, watch, seconds), tallies


def posted(api: ApiStandin) -> list[Any]:
    return [sent for sent in api.sent if sent.method == "POST"]


def test_a_batch_is_sent_and_followed_to_its_end(api: ApiStandin) -> None:
    api.answers = [accepted(3), status(requested=3), status(running=2, done=1), status(done=3)]
    time = Time()
    batch, tallies = sending(api, 3, time)

    batch.perform()

    assert tallies[:3] == [Tally(3, 0, 0), Tally(3, 1, 0), Tally(3, 3, 0)]
    assert time.pauses == [1, 1]
    assert batch.problems() == []
    assert (batch.batch_ids, batch.unsent) == ([BATCH_ID], 0)
    first = api.sent[0]
    assert first.path == "/api/v1/admin/tenants:batch"
    assert first.body["tenants"][0] == {"tenant_id": "tenant_0", "plan": "STARTER"}
    assert api.sent[1].path == f"/api/v1/admin/tenant-batches/{BATCH_ID}"


def test_the_same_rows_have_the_same_key_and_others_another(api: ApiStandin) -> None:
    for count in (3, 3, 4):
        api.answers = [accepted(count), status(done=count)]
        sending(api, count)[0].perform()

    same, again, other = (sent.headers["Idempotency-Key"] for sent in posted(api))
    assert same == again == f"{import_key(rows(3))}-1"
    assert other != same
    assert import_key(rows(2)) != import_key(rows(2)[::-1])


def test_more_than_a_thousand_go_as_several_batches_one_after_the_other(api: ApiStandin) -> None:
    api.answers = [
        *(accepted(1000), status(running=1000), status(done=1000)),
        *(accepted(1000, batch_id=OTHER_BATCH_ID), status(done=1000, batch_id=OTHER_BATCH_ID)),
        *(accepted(1, batch_id="bat_3"), status(done=1, batch_id="bat_3")),
    ]
    batch, tallies = sending(api, 2001)

    batch.perform()

    assert [len(sent.body["tenants"]) for sent in posted(api)] == [1000, 1000, 1]
    assert [sent.headers["Idempotency-Key"][-2:] for sent in posted(api)] == ["-1", "-2", "-3"]
    assert [sent.method for sent in api.sent] == ["POST", "GET", "GET", "POST", "GET", "POST", "GET"]
    assert tallies[-1] == Tally(2001, 2001, 0)


def test_the_next_batch_does_not_wait_for_what_is_tried_again_later(
    api: ApiStandin, capsys: pytest.CaptureFixture[str]
) -> None:
    to_be_retried = status(done=999, failed=1, is_finished=False)
    api.answers = [
        *(accepted(1000), to_be_retried, accepted(1, batch_id=OTHER_BATCH_ID), to_be_retried),
        *(status(done=1, batch_id=OTHER_BATCH_ID), to_be_retried, status(done=1000)),
    ]
    batch, tallies = sending(api, 1001)

    batch.perform()

    assert [sent.method for sent in api.sent[:3]] == ["POST", "GET", "POST"]
    assert tallies[-1] == Tally(1001, 1001, 0)
    assert "tried again by itself" in capsys.readouterr().err


def test_refused_and_failed_rows_are_told_by_their_lines(api: ApiStandin) -> None:
    api.answers = [
        accepted(2, a_refusal(1, "tenant_1")),
        status(done=1, failed=1, failures=[a_failure("tenant_0", "2026-11-23T08:09:00Z")]),
    ]
    batch, tallies = sending(api, 3)

    batch.perform()

    assert tallies[-1] == Tally(3, 1, 2)
    failed, refused = batch.problems()
    assert (failed.line, failed.tenant_id, failed.code) == (2, "tenant_0", "permission_denied")
    assert failed.message == (
        "Grant the role: BigQuery refused. Next: Nothing by itself. At 2026-11-23 08:09:00 UTC."
    )
    assert (refused.line, refused.code) == (3, "tenant_exists")


def test_more_failures_than_the_answer_holds_are_fetched(api: ApiStandin) -> None:
    failed = [a_failure(f"tenant_{number}") for number in range(150)]
    api.answers = [
        *(accepted(150), status(failed=150, failures=failed[:100])),
        (200, {"requests": failed, "next_before": None}),
    ]
    batch, _ = sending(api, 150)

    batch.perform()

    assert [problem.line for problem in batch.problems()] == list(range(2, 152))
    assert api.sent[-1].path.endswith(f"limit=200&batch_id={BATCH_ID}&state=FAILED")


def test_a_batch_of_which_no_row_can_be_made_does_not_keep_the_next_from_being_sent(api: ApiStandin) -> None:
    details = [{"field": f"tenants.{index}.tenant_id", "message": "is taken"} for index in range(1000)]
    api.answers = [
        (422, refusal("invalid_argument", "Correct the batch.", details=details)),
        *(accepted(1), status(done=1)),
    ]
    batch, tallies = sending(api, 1001)

    batch.perform()

    assert tallies[-1] == Tally(1001, 1, 1000)
    assert [(problem.line, problem.message) for problem in batch.problems()[:2]] == [
        *((2, "is taken"), (3, "is taken"))
    ]


@pytest.mark.parametrize(
    "answer",
    [
        (422, refusal("invalid_argument", "No.", details=[{"field": "tenants", "message": "is no list"}])),
        (422, refusal("invalid_argument", "No.", details=[{"field": "tenants.0", "message": "one of two"}])),
        (403, refusal("forbidden", "Send the key.")),
        (409, refusal("idempotency_key_reused", "Choose another key.", details={"batch": "b"})),
    ],
)
def test_a_batch_that_is_refused_as_a_whole_ends_the_import(
    api: ApiStandin, answer: tuple[int, dict[str, Any]]
) -> None:
    api.answers = [answer]
    batch, _ = sending(api, 2)

    with pytest.raises(ConvergenceError) as refused:
        batch.perform()

    assert refused.value.code == answer[1]["error"]["code"]
    assert (batch.batch_ids, batch.unsent) == ([], 2)


def test_an_api_that_is_away_is_waited_for_while_a_batch_runs(
    api: ApiStandin, capsys: pytest.CaptureFixture[str]
) -> None:
    api.answers = [accepted(1), BUSY, BUSY, status(done=1)]
    time = Time()
    batch, _ = sending(api, 1, time)

    batch.perform()

    assert batch.tally.done == 1
    assert time.pauses == [5, 5]
    assert capsys.readouterr().err.count("Come back later.") == 1


def test_an_api_that_stays_away_is_told(api: ApiStandin) -> None:
    api.answers = [accepted(1), BUSY]
    time = Time()
    batch, _ = sending(api, 1, time)

    with pytest.raises(TransientError):
        batch.perform()

    assert time.seconds <= PATIENCE_SECONDS
    assert batch.batch_ids == [BATCH_ID]


def test_an_api_that_is_away_before_anything_was_sent_is_told_at_once(api: ApiStandin) -> None:
    api.answers = [BUSY]
    time = Time()
    batch, _ = sending(api, 1, time)

    with pytest.raises(TransientError):
        batch.perform()

    assert time.pauses == []


def test_the_creation_limit_is_waited_out(api: ApiStandin) -> None:
    api.headers = {"Retry-After": "42"}
    api.answers = [(429, refusal("rate_limited", "Slow down.")), accepted(1), status(done=1)]
    time = Time()

    sending(api, 1, time)[0].perform()

    assert time.pauses == [42]


def test_a_batch_that_is_not_to_be_seen_yet_is_looked_for_again(api: ApiStandin) -> None:
    api.answers = [
        *(accepted(2), (404, refusal("not_found", "Check the batch id."))),
        *(status(done=1), status(done=2)),
    ]
    batch, tallies = sending(api, 2)

    batch.perform()

    assert tallies == [Tally(2, 1, 0), Tally(2, 2, 0), Tally(2, 2, 0)]


def test_who_does_not_want_to_wait_has_all_rows_sent(api: ApiStandin) -> None:
    api.answers = [
        *(accepted(1000), status(running=1000), accepted(1, batch_id=OTHER_BATCH_ID)),
        status(running=1000),
    ]
    time = Time()
    batch, _ = sending(api, 1001, time, seconds=0)

    batch.perform()

    assert batch.batch_ids == [BATCH_ID, OTHER_BATCH_ID]
    assert time.pauses == []
    assert batch.unsent == 0


def test_looks_become_rarer_the_longer_it_takes(api: ApiStandin) -> None:
    api.answers = [accepted(1), status(running=1)]
    time = Time()

    sending(api, 1, time, seconds=200)[0].perform()

    assert time.pauses[0] == 1
    assert max(time.pauses) == 5
    assert len(time.pauses) < 70


def test_ctrl_c_between_two_looks_leaves_what_is_known(api: ApiStandin) -> None:
    api.answers = [accepted(1000), status(running=1000)]
    batch, _ = sending(api, 1500, Time(pauses_until_interrupted=2))

    with pytest.raises(KeyboardInterrupt):
        batch.perform()

    assert (batch.batch_ids, batch.unsent) == ([BATCH_ID], 500)
    assert not batch.sent[0].is_finished


def test_an_api_that_does_not_say_when_is_asked_again_after_a_while(api: ApiStandin) -> None:
    api.headers = {"Retry-After": "Mon, 23 Nov 2026 08:00:00 GMT"}
    api.answers = [(504, refusal("deadline_exceeded", "Again."))]

    with pytest.raises(TransientError) as away:
        ApiCalls(Access(api.url, SecretStr("admin"))).get("/x")

    assert (away.value.code, away.value.retry_after) == (ErrorCode.DEADLINE_EXCEEDED, 5)
