"""What only real API processes show: hostile headers on the wire, revocations that reach every process, and keys that several
processes are asked for at once."""

import asyncio
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial

import httpx
import pytest

from convergence_orchestration.tenancy.model import TenantId
from convergence_orchestration_tests.api.dagster_standin import DagsterStandIn
from convergence_orchestration_tests.api.header_fuzz import NAME, Fuzz, send
from convergence_orchestration_tests.api.platform import ADMIN_KEY, ControlPlane, assert_is_error
from convergence_orchestration_tests.api.processes import (
    ME,
    PATIENCE,
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
    control_plane: ControlPlane, shared_dagster: DagsterStandIn, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[ApiProcess]]:
    """Three API processes on one BigQuery, with the looks at the ledger that they have by default."""
    directory = tmp_path_factory.mktemp("processes")
    with api_processes(control_plane.settings, directory, 3, DAGSTER_URL=shared_dagster.url) as started:
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


def keys_asked_for(
    processes: list[ApiProcess], tenant_id: str, count: int, **headers: str
) -> list[httpx.Response]:
    """The answers to so many requests for a key at one moment, spread over the processes."""

    def ask(process: ApiProcess) -> httpx.Response:
        return httpx.post(
            f"{process.url}/api/v1/admin/api-keys",
            json={"tenant_id": tenant_id},
            headers={"X-Admin-Key": ADMIN_KEY} | headers,
            timeout=PATIENCE,
            trust_env=False,
        )

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(ask, [processes[number % len(processes)] for number in range(count)]))


def active_keys(control_plane: ControlPlane, tenant_id: str) -> list[str]:
    active = control_plane.stores.ledger.active_for(TenantId(tenant_id), datetime.now(UTC))
    return [record.key_id for record in active]


@pytest.mark.usefixtures("dagster")
def test_of_twelve_who_ask_three_processes_at_once_one_gets_a_key(
    processes: list[ApiProcess], control_plane: ControlPlane
) -> None:
    tenant_id = control_plane.tenant()

    answers = keys_asked_for(processes, tenant_id, 12)

    (issued,) = (answer.json() for answer in answers if answer.status_code == 200)
    refused = [answer for answer in answers if answer.status_code != 200]
    assert [assert_is_error(each, 409, "key_exists") for each in refused]
    assert active_keys(control_plane, tenant_id) == [issued["key_id"]]
    assert all(issued["api_key"] not in each.text for each in refused)


@pytest.mark.usefixtures("dagster")
def test_the_same_request_at_three_processes_at_once_is_one_key_and_gets_it_three_times(
    processes: list[ApiProcess], control_plane: ControlPlane
) -> None:
    tenant_id = control_plane.tenant()

    answers = keys_asked_for(processes, tenant_id, 3, **{"Idempotency-Key": f"one-{tenant_id}"})

    assert [answer.status_code for answer in answers] == [200, 200, 200], [each.text for each in answers]
    keys = {(answer.json()["key_id"], answer.json()["api_key"]) for answer in answers}
    assert [key_id for key_id, _ in keys] == active_keys(control_plane, tenant_id)


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
