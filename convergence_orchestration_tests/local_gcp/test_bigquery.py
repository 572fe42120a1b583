import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from google.api_core import exceptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery

from convergence_orchestration.local_gcp.asgi_faults import FaultyApplication, Message, Receive, Send
from convergence_orchestration.local_gcp.bigquery import find_home
from convergence_orchestration.local_gcp.faults import Faults
from convergence_orchestration_tests.emulators import (
    Emulator,
    fresh_project_id,
    running_local_bigquery,
    stop,
)
from convergence_orchestration_tests.local_gcp.clouds import interrupts_ignored

_SHORT = bigquery.DEFAULT_RETRY.with_timeout(1)
_TABLE = [bigquery.SchemaField("event_id", "STRING"), bigquery.SchemaField("actor", "STRING")]


def _client(emulator: Emulator, project: str) -> bigquery.Client:
    return bigquery.Client(
        project=project,
        credentials=AnonymousCredentials(),  # type: ignore[no-untyped-call]
        client_options={"api_endpoint": emulator.rest_url},
    )


@pytest.fixture
def client(local_bigquery: Emulator) -> Iterator[bigquery.Client]:
    with _client(local_bigquery, fresh_project_id()) as client:
        yield client
    local_bigquery.faults_file.unlink(missing_ok=True)


def _faults(emulator: Emulator, text: str) -> None:
    emulator.faults_file.write_text(text, encoding="utf-8")


def test_the_plain_client_creates_a_dataset_and_appends_a_row_that_a_query_finds(
    client: bigquery.Client,
) -> None:
    client.create_dataset("tenants")
    client.create_table(bigquery.Table(f"{client.project}.tenants.audit_log", _TABLE))

    assert not client.insert_rows_json(
        "tenants.audit_log", [{"event_id": "1", "actor": "Ada"}], row_ids=["1"]
    )

    rows = client.query_and_wait("SELECT actor FROM tenants.audit_log WHERE event_id = '1'")
    assert [row["actor"] for row in rows] == ["Ada"]


def test_of_two_creations_of_one_dataset_at_once_one_wins_and_the_other_is_told_that_it_exists(
    client: bigquery.Client,
) -> None:
    def create(dataset_id: str) -> str:
        try:
            return str(client.create_dataset(dataset_id).dataset_id)
        except exceptions.Conflict:
            return "it exists"

    with ThreadPoolExecutor(2) as pool:
        for dataset_id in (f"claimed_{number}" for number in range(10)):
            assert sorted(pool.map(create, [dataset_id] * 2)) == [dataset_id, "it exists"]


@pytest.mark.parametrize("how", ["code: 503", "code: 403\n  reason: rateLimitExceeded"])
def test_the_client_retries_what_may_pass(
    client: bigquery.Client, local_bigquery: Emulator, how: str
) -> None:
    _faults(local_bigquery, f"- method: 'POST /bigquery/v2/projects/*/datasets'\n  {how}\n  times: 1\n")

    assert client.create_dataset("tenants").dataset_id == "tenants"


def test_the_client_does_not_retry_a_quota_that_is_exceeded(
    client: bigquery.Client, local_bigquery: Emulator
) -> None:
    _faults(local_bigquery, "- {method: 'POST */datasets', code: 403, reason: quotaExceeded, times: 1}")

    with pytest.raises(exceptions.Forbidden, match="faults file") as refused:
        client.create_dataset("tenants")

    assert refused.value.errors[0]["reason"] == "quotaExceeded"
    assert client.create_dataset("tenants")


def test_what_was_acknowledged_survives_kill_minus_nine(tmp_path: Path) -> None:
    project = fresh_project_id()
    with running_local_bigquery(tmp_path) as (emulator, child), _client(emulator, project) as client:
        client.create_dataset("tenants")
        client.create_table(bigquery.Table(f"{project}.tenants.audit_log", _TABLE))
        client.insert_rows_json("tenants.audit_log", [{"event_id": "1"}], row_ids=["1"])
        child.kill()
        assert child.wait() == -signal.SIGKILL

    with (
        interrupts_ignored(),
        running_local_bigquery(tmp_path) as (emulator, child),
        _client(emulator, project) as client,
    ):
        (row,) = client.query_and_wait("SELECT count(*) AS rows_found FROM tenants.audit_log")
        assert row["rows_found"] == 1
        assert stop(child) == 0  # though it was started with SIGINT ignored


def test_a_port_that_is_taken_ends_the_start(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        command = [sys.executable, "-m", "convergence_orchestration.local_gcp.bigquery", "--port", port]
        ended = subprocess.run(
            [*command, "--data-dir", str(tmp_path)], capture_output=True, text=True, check=False
        )
    assert ended.returncode == 1
    assert f"Choose another --port: {port} is taken." in ended.stderr


def test_without_a_home_of_ones_own_the_data_directory_is_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    find_home(tmp_path / "data")
    assert os.environ["HOME"] == str(tmp_path)

    monkeypatch.setenv("HOME", str(tmp_path / "none"))
    find_home(tmp_path / "data")
    assert os.environ["HOME"] == str(tmp_path / "data")


class _Recorder:
    """An ASGI application that answers 200 and remembers what reached it."""

    def __init__(self) -> None:
        self.reached: list[str] = []

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        self.reached.append(scope.get("path", scope["type"]))
        if scope["type"] == "http":
            await receive()
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"{}"})


def _answers(application: FaultyApplication, *requests: tuple[str, str]) -> list[httpx.Response]:
    async def ask() -> list[httpx.Response]:
        transport = httpx.ASGITransport(app=application)
        async with httpx.AsyncClient(transport=transport, base_url="http://local") as client:
            return [await client.request(verb, path, content=b"body") for verb, path in requests]

    return asyncio.run(ask())


def test_a_fault_never_reaches_the_application_and_health_never_meets_one(tmp_path: Path) -> None:
    path = tmp_path / "faults.yaml"
    path.write_text("- {method: 'POST *', code: 429, delay_seconds: 0.01, every: 2}")
    recorder = _Recorder()

    answers = _answers(
        FaultyApplication(recorder, Faults(path)),
        ("POST", "/a"),
        ("POST", "/b"),
        ("GET", "/c"),
        ("POST", "/healthz"),
    )

    assert [answer.status_code for answer in answers] == [200, 429, 200, 200]
    assert recorder.reached == ["/a", "/c"]
    assert answers[1].json()["error"]["errors"][0]["reason"] == "rateLimitExceeded"
    assert answers[3].json() == {"status": "ok"}


def test_what_is_not_http_is_passed_on(tmp_path: Path) -> None:
    recorder = _Recorder()

    async def start_up() -> None:
        await FaultyApplication(recorder, Faults(tmp_path / "none"))({"type": "lifespan"}, _nothing, _ignore)

    asyncio.run(start_up())
    assert recorder.reached == ["lifespan"]


async def _nothing() -> Message:
    return {}


async def _ignore(_: Message) -> None:
    pass


_CALLER = """
import sys
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery
client = bigquery.Client(
    project=sys.argv[2], credentials=AnonymousCredentials(), client_options={"api_endpoint": sys.argv[1]}
)
client.create_dataset(sys.argv[3])
"""


@pytest.mark.parametrize(("when", "is_there"), [("before", False), ("after", True)])
def test_a_caller_is_killed_at_the_call_that_the_file_names(
    client: bigquery.Client, local_bigquery: Emulator, when: str, *, is_there: bool
) -> None:
    rule = f"- {{method: 'POST */datasets', body: [doomed, tasetId], kill: caller, when: {when}, times: 1}}\n"
    _faults(local_bigquery, rule)

    def outcome(dataset_id: str) -> int:
        command = [sys.executable, "-c", _CALLER, local_bigquery.rest_url, str(client.project), dataset_id]
        return subprocess.run(command, check=False, timeout=60).returncode

    assert outcome("spared") == 0
    assert outcome("doomed") == -signal.SIGKILL
    found = {dataset.dataset_id for dataset in client.list_datasets()}
    assert found == ({"spared", "doomed"} if is_there else {"spared"})
    assert outcome("doomed_not_again") == 0, "once is what the file says"


@pytest.mark.parametrize(("when", "is_there"), [("before", False), ("after", True)])
def test_the_emulator_kills_itself_at_a_call_and_keeps_what_it_did(
    tmp_path: Path, when: str, *, is_there: bool
) -> None:
    project = fresh_project_id()
    with running_local_bigquery(tmp_path) as (emulator, child):
        _faults(emulator, f"- {{method: 'POST */datasets', kill: emulator, when: {when}, times: 1}}\n")
        with _client(emulator, project) as client, pytest.raises(exceptions.RetryError):
            client.create_dataset("doomed", retry=_SHORT)
        assert child.wait(10) == -signal.SIGKILL
    with running_local_bigquery(tmp_path) as (emulator, _), _client(emulator, project) as client:
        found = [dataset.dataset_id for dataset in client.list_datasets()]
        client.create_dataset("spared", retry=_SHORT)
    assert found == (["doomed"] if is_there else [])


def test_a_file_of_faults_that_is_written_anew_kills_the_emulator_anew(tmp_path: Path) -> None:
    rule = "- {method: 'POST */datasets', kill: emulator, times: 1}\n"
    for _ in range(2):
        with running_local_bigquery(tmp_path) as (emulator, child):
            _faults(emulator, rule)
            with (
                _client(emulator, fresh_project_id()) as client,
                pytest.raises(exceptions.RetryError),
            ):
                client.create_dataset("doomed", retry=_SHORT)
            assert child.wait(10) == -signal.SIGKILL
