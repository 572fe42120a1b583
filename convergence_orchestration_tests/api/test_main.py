"""The API as a process: `python -m convergence_orchestration.api`."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx

from convergence_orchestration.settings import Settings
from convergence_orchestration_tests.emulators import free_port, stop

COMMAND = [sys.executable, "-m", "convergence_orchestration.api"]
PATIENCE = 60


def environment(**variables: str) -> dict[str, str]:
    ours = {name.upper() for name in Settings.model_fields}
    return {name: value for name, value in os.environ.items() if name not in ours} | variables


def test_the_process_serves_logs_json_and_ends_kindly_at_sigterm(tmp_path: Path) -> None:
    port = free_port()
    nowhere = f"127.0.0.1:{free_port()}"
    variables = environment(
        API_HOST="127.0.0.1",
        API_PORT=str(port),
        ADMIN_API_KEY="admin_for_the_tests_alone",
        BIGQUERY_EMULATOR_HOST=f"http://{nowhere}",
        KMS_EMULATOR_HOST=nowhere,
        SECRET_MANAGER_EMULATOR_HOST=nowhere,
        DAGSTER_URL=f"http://{nowhere}",
    )
    log = tmp_path / "api.log"
    with log.open("wb") as output:
        child = subprocess.Popen(COMMAND, env=variables, cwd=tmp_path, stdout=output, stderr=output)
    try:
        answer = wait_for_health(child, port)
        child.send_signal(signal.SIGTERM)
        status = child.wait(PATIENCE)
    finally:
        stop(child)

    assert "Server" not in answer.headers
    assert status in {0, -signal.SIGTERM}
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    (line,) = [line for line in lines if line["msg"] == "Request completed" and line["path"] == "/health"]
    assert list(line)[:4] == ["timestamp", "severity", "name", "msg"]
    assert line["request_id"] == answer.headers["X-Request-ID"]
    assert not [line for line in lines if line["name"] == "uvicorn.access"]


def wait_for_health(child: subprocess.Popen[bytes], port: int) -> httpx.Response:
    deadline = time.monotonic() + PATIENCE
    while child.poll() is None and time.monotonic() < deadline:
        try:
            return httpx.get(f"http://127.0.0.1:{port}/health", trust_env=False)
        except httpx.TransportError:
            time.sleep(0.1)
    raise RuntimeError(f"The API did not come up; exit status {child.poll()}")


def test_wrong_settings_end_the_process_with_a_sentence_each_and_no_traceback(tmp_path: Path) -> None:
    ended = subprocess.run(
        COMMAND,
        env=environment(API_PORT="high", DISABLE_AUTH="true", ENVIRONMENT="staging", ADMIN_API_KEY="short"),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )

    assert ended.returncode == 2
    assert ended.stdout == ""
    assert "Traceback" not in ended.stderr
    assert "API_PORT is wrong" in ended.stderr
    assert "short" not in ended.stderr.replace("too short", "")
