"""Logs, traces, doctor, metrics and the review of a running platform, each as a person asks for it."""

import json
from collections.abc import Iterator
from pathlib import Path

import anyio
import httpx
import pytest
from google.iam.v1.policy_pb2 import Policy

from convergence_orchestration.api.dagster_client import DagsterClient
from convergence_orchestration.errors import ConvergenceError
from convergence_orchestration.gcp.clients import kms_client
from convergence_orchestration.local_platform.directory import DataDirectory
from convergence_orchestration.local_platform.log_files import further_logs
from convergence_orchestration_tests.e2e.platform import Platform, free_base_port
from convergence_orchestration_tests.local_platform.builders import wait_until
from convergence_orchestration_tests.span_receiver import Receiver, Span, receiving

pytestmark = pytest.mark.e2e

PATIENCE = 60


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory, receiver: Receiver) -> Iterator[Platform]:
    """A running platform whose spans are sent to the receiver; not bootstrapped before the first test wants it."""
    directory = tmp_path_factory.mktemp("platform")
    (directory / ".env").write_text(f"OTEL_EXPORTER_OTLP_ENDPOINT={receiver.url}\n")
    platform = Platform(directory / "data", free_base_port())
    platform.up()
    try:
        yield platform
    finally:
        platform.down()


def launched(platform: Platform, job: str, tags: dict[str, str]) -> str:
    """Launch a job and wait for its end: its run's id, or its failure raised."""

    async def launch() -> str:
        async with httpx.AsyncClient(trust_env=False) as http:
            dagster = DagsterClient(http, platform.dagster_url)
            run_id = await dagster.launch(job, {}, tags)
            error = (await dagster.wait(run_id, PATIENCE)).error(dagster.run_url(run_id))
            if error is not None:
                raise error
            return run_id

    return anyio.run(launch)


def lines_of(platform: Platform, *words: str) -> list[dict[str, object]]:
    shown = platform.convergence("logs", *words, "-n", "1000", "--json").stdout
    return [json.loads(line) for line in shown.splitlines()]


def test_the_doctor_finds_nothing_before_the_bootstrap(platform: Platform) -> None:
    findings = json.loads(platform.convergence("doctor", "--json").stdout)

    assert {finding["state"] for finding in findings} == {"ok"}, findings
    assert {"Dagster", "BigQuery"} <= {finding["subject"].split(" at ")[0] for finding in findings}


def test_a_call_and_its_run_are_found_by_one_request_id(platform: Platform) -> None:
    answer = platform.admin("POST", "/bootstrap", {}, Prefer="wait=150")
    assert answer.status_code == 200, answer.text

    lines = lines_of(platform, "--request", answer.headers["X-Request-ID"])

    assert {"Request completed", "Run started", "Run ended"} <= {line["msg"] for line in lines}
    (run_id,) = {line["run_id"] for line in lines if "run_id" in line}
    assert run_id == answer.json()["run_id"]
    assert len({line["trace"] for line in lines}) == 1
    assert "Run ended" in platform.convergence("logs", "runs", "--run", str(run_id), "--since", "10m").stdout


def test_a_tenants_request_is_found_by_its_own_id_and_by_its_tenant(platform: Platform) -> None:
    answer = platform.admin("POST", "/tenants", {"tenant_id": "acmecorp"}, Prefer="wait=150")
    assert answer.status_code == 200, answer.text

    of_request = lines_of(platform, "--request", answer.json()["request_id"])
    of_tenant = lines_of(platform, "runs", "--tenant", "acmecorp")

    assert [line["state"] for line in of_request if line["msg"] == "Request recorded"] == ["RUNNING", "DONE"]
    assert {"Request recorded", "Run ended"} <= {line["msg"] for line in of_tenant}


def test_one_trace_goes_from_the_call_through_the_run_to_google(
    platform: Platform, receiver: Receiver
) -> None:
    caller = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    answer = platform.admin("POST", "/bootstrap", {}, traceparent=caller, Prefer="wait=150")
    assert answer.status_code == 200, answer.text

    def spans() -> dict[str, Span]:
        return {span.name: span for span in receiver.spans if span.trace == caller.split("-")[1]}

    wanted = {"POST /api/v1/admin/bootstrap", "run bootstrap", "BigQuery"}
    wait_until(lambda: wanted <= set(spans()), PATIENCE)
    of_trace = spans()
    assert of_trace["run bootstrap"].parent == of_trace["POST /api/v1/admin/bootstrap"].id
    assert {span.service for span in of_trace.values()} == {"convergence-api", "convergence-run"}


def test_every_line_of_every_process_is_json_in_the_guides_format(platform: Platform) -> None:
    directory = DataDirectory.at(platform.data_dir)
    paths: list[Path] = [
        *directory.logs.glob("*.log"),
        *(directory.local_gcp / "instance-logs").glob("*.log"),
        *further_logs(directory).values(),
    ]
    wrong: dict[str, list[str]] = {}
    for path in paths:
        for line in path.read_text().splitlines() if path.exists() else ():
            if not _is_the_guides(line):
                wrong.setdefault(path.name, []).append(line)

    assert wrong == {}
    written = {path.name for path in paths if path.exists() and path.stat().st_size}
    assert {"webserver.log", "daemon.log", "code_server.log", "workers.log", "node.log", "api.log"} <= written


def test_dagsters_side_is_told_to_prometheus(platform: Platform) -> None:
    text = platform.convergence("metrics").stdout

    assert "convergence_dagster_up 1.0" in text
    assert 'convergence_dagster_daemon_healthy{daemon="SENSOR"} 1.0' in text
    assert "convergence_dagster_queue_age_seconds" in text
    assert 'convergence_dagster_last_tick_age_seconds{kind="sensor",name="tenant_request_sensor"}' in text


def test_a_review_is_shown_made_and_signed(platform: Platform) -> None:
    shown = platform.convergence("iam-review", "show")
    assert "development: 0 unexpected, 0 missing" in shown.stderr

    unsigned = platform.convergence("iam-review", "sign", "--name", "Ana", check=False)
    assert unsigned.returncode == 1
    assert "Review first" in unsigned.stderr

    run_id = launched(platform, "review_iam", {"dagster/partition": "development"})
    platform.convergence("iam-review", "sign", "--name", "Ana", "--note", "Seen.")
    rows = platform.admin("GET", "/audit?limit=50").json()["rows"]
    (row,) = [row for row in rows if row["action"] == "security.iam_review_signed"]
    details = json.loads(row["details"])
    assert (details["name"], details["review_run_id"]) == ("Ana", run_id)


def test_the_doctor_is_a_job_too_whose_run_fails_with_the_first_cure(platform: Platform) -> None:
    launched(platform, "doctor", {})

    client = kms_client(platform.settings)
    key = platform.settings.crypto_key_name
    before = client.get_iam_policy(request={"resource": key})
    client.set_iam_policy(request={"resource": key, "policy": Policy(version=1)})
    try:
        with pytest.raises(ConvergenceError, match="gcloud kms keys add-iam-policy-binding"):
            launched(platform, "doctor", {})
        ended = platform.convergence("doctor", check=False)
    finally:
        before.ClearField("etag")
        client.set_iam_policy(request={"resource": key, "policy": before})

    assert ended.returncode == 1
    assert "-> gcloud kms keys add-iam-policy-binding api-key-encryption" in ended.stdout
    assert ended.stdout.count("->") == 1


def test_the_doctor_still_answers_when_everything_is_stopped(platform: Platform) -> None:
    platform.down()

    ended = platform.convergence("doctor", check=False)

    assert ended.returncode == 1
    assert "-> convergence up --data-dir" in ended.stdout
    assert "The platform is up." in platform.convergence("logs", "supervisor", "-n", "1000").stdout


def _is_the_guides(line: str) -> bool:
    try:
        return list(json.loads(line))[:4] == ["timestamp", "severity", "name", "msg"]
    except ValueError:
        return False
