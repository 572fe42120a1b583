"""What only real API processes show: hostile headers on the wire, and revocations that reach every process."""

import asyncio
import json
import time
from collections.abc import Iterator
from functools import partial

import pytest

from convergence_orchestration_tests.api.header_fuzz import NAME, Fuzz, send
from convergence_orchestration_tests.api.platform import ControlPlane
from convergence_orchestration_tests.api.processes import (
    ME,
    ApiProcess,
    api_processes,
    issue_into,
    revoke_in,
)
from convergence_orchestration_tests.api.raw_http import Connection, request
from convergence_orchestration_tests.api.revocation import seconds_until_refused

BOUND_SECONDS = 5.0


@pytest.fixture(scope="module")
def processes(
    control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[ApiProcess]]:
    """Three API processes on one BigQuery, with the looks at the ledger that they have by default."""
    with api_processes(control_plane.settings, tmp_path_factory.mktemp("processes"), 3) as started:
        yield started


def ask(port: int, content: bytes) -> tuple[int, bytes]:
    async def once() -> tuple[int, bytes]:
        connection = await Connection.to(port)
        answer = await connection.ask(content)
        await connection.close()
        return answer

    return asyncio.run(once())


def test_each_process_refuses_a_revoked_key_within_five_seconds_under_load_and_no_other_key(
    processes: list[ApiProcess], control_plane: ControlPlane
) -> None:
    bigquery = control_plane.bigquery
    held = [issue_into(bigquery, control_plane.tenant(), control_plane.settings) for _ in range(5)]
    revoked, others = held[0], [key.text for key in held[1:]]

    ports = [process.port for process in processes]
    took = asyncio.run(
        seconds_until_refused(ports, revoked.text, others, partial(revoke_in, bigquery, revoked))
    )

    assert len(took) == 3
    assert max(took) < BOUND_SECONDS, took


def test_a_key_issued_elsewhere_a_moment_ago_is_let_in_soon_after_it_was_refused_first(
    processes: list[ApiProcess], control_plane: ControlPlane
) -> None:
    held = issue_into(control_plane.bigquery, control_plane.tenant(), control_plane.settings)
    content = request(ME, (NAME, held.text.encode()))
    deadline = time.monotonic() + BOUND_SECONDS

    while (status := ask(processes[0].port, content)[0]) == 401 and time.monotonic() < deadline:
        time.sleep(0.05)

    assert status == 200


def test_two_thousand_hostile_headers_are_each_refused(processes: list[ApiProcess]) -> None:
    statuses = asyncio.run(send(processes[0].port, Fuzz(seed=1, known=[]), 2_000))

    assert statuses.total() == 2_000
    assert statuses.keys() <= {400, 401, 431}
    assert statuses[401] > 1_000


@pytest.mark.parametrize("megabytes", [0.1, 10])
def test_a_header_of_many_kilobytes_is_refused_in_the_shape_of_every_error(
    processes: list[ApiProcess], megabytes: float
) -> None:
    status, answer = ask(processes[0].port, request(ME, (NAME, b"x" * int(megabytes * 1_000_000))))

    assert status in {401, 431}
    error = json.loads(answer.split(b"\r\n\r\n", 1)[1])["error"]
    assert error.keys() == {"code", "message", "request_id"}
    if megabytes == 10:
        assert status == 431


def test_what_is_no_http_gets_400_in_the_shape_of_every_error(processes: list[ApiProcess]) -> None:
    status, answer = ask(processes[0].port, b"nonsense\r\n\r\n")

    assert status == 400
    assert json.loads(answer.split(b"\r\n\r\n", 1)[1])["error"]["code"] == "invalid_argument"


def test_two_keys_in_one_request_are_refused_also_if_both_are_good(
    processes: list[ApiProcess], control_plane: ControlPlane
) -> None:
    held = issue_into(control_plane.bigquery, control_plane.tenant(), control_plane.settings)
    key = (NAME, held.text.encode())

    status, _ = ask(processes[0].port, request(ME, key, key))

    assert status == 401
