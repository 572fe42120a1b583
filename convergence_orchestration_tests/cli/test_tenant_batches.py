import json

import pytest

from convergence_orchestration_tests.cli.api_standin import ApiStandin, refusal
from convergence_orchestration_tests.cli.batch_answers import BATCH_ID, a_failure, status
from convergence_orchestration_tests.cli.conftest import CommandLine

pytestmark = pytest.mark.usefixtures("api")


def test_a_batch_is_shown_with_what_failed(convergence: CommandLine, api: ApiStandin) -> None:
    api.answers = [status(running=1, done=5, failed=2, failures=[a_failure()])]

    ended = convergence("tenant", "batch", BATCH_ID)

    assert ended.exit_code == 0
    facts, table = ended.stdout.split("\n\n")
    assert "total         8\n" in facts
    assert "DONE          5\n" in facts
    assert "requested_at  2026-11-23 08:00:00\n" in facts
    assert "Grant the role: BigQuery refused." in table
    assert (
        f"1 more that failed: convergence tenant requests --batch {BATCH_ID} --state FAILED" in ended.stderr
    )
    assert api.sent[0].path == f"/api/v1/admin/tenant-batches/{BATCH_ID}"


def test_a_batch_for_programs_is_the_answer_itself(convergence: CommandLine, api: ApiStandin) -> None:
    api.answers = [status(done=2)]

    ended = convergence("tenant", "batch", "a/b", "--json")

    assert json.loads(ended.stdout) == status(done=2)[1]
    assert api.sent[0].path == "/api/v1/admin/tenant-batches/a%2Fb"


@pytest.mark.parametrize(("done", "failed", "exit_code"), [(2, 0, 0), (1, 1, 1)])
def test_a_followed_batch_ends_with_whether_all_were_made(
    convergence: CommandLine, api: ApiStandin, done: int, failed: int, exit_code: int
) -> None:
    api.answers = [status(running=2), status(done=done, failed=failed)]

    ended = convergence("tenant", "batch", BATCH_ID, "--follow")

    assert ended.exit_code == exit_code
    assert ended.stderr.splitlines()[0] == "0 of 2 made"
    assert "is_finished   True" in ended.stdout
    assert len(api.sent) == 2


def test_a_batch_that_there_is_not_is_the_apis_sentence(convergence: CommandLine, api: ApiStandin) -> None:
    api.answers = [(404, refusal("not_found", "Check the batch id: there is no such batch."))]

    for words in ([], ["--follow"]):
        ended = convergence("tenant", "batch", BATCH_ID, *words)

        assert ended.exit_code == 1
        assert ended.stderr.startswith("Check the batch id")
