from pathlib import Path

import httpx
import pytest

from convergence_orchestration.launching.model import NO_WORKER
from convergence_orchestration.launching.records import RunRecords
from convergence_orchestration.local_platform import lost_runs
from convergence_orchestration_tests.launching.builders import NOBODY, request

pytestmark = pytest.mark.anyio

PLATFORM_STARTED = 100.0
STARTED = 200.0
URL = "http://127.0.0.1:1"


async def cancelled(home: Path, launcher: object, runs: dict[str, float]) -> list[str]:
    """What is cancelled of the unfinished runs, which are given with when they were created."""
    sent: list[dict[str, object]] = []

    def answer(asked: httpx.Request) -> httpx.Response:
        sent.append(httpx.Response(200, content=asked.content).json()["variables"])
        results = [{"runId": run, "creationTime": created} for run, created in runs.items()]
        found = {"instance": {"runLauncher": launcher}, "runsOrError": {"results": results}}
        return httpx.Response(200, json={"data": found})

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
        await lost_runs.settle(client, STARTED, url=URL, home=home, platform_started=PLATFORM_STARTED)
    assert sent[0] == {"before": STARTED}
    ids = [run for variables in sent[1:] for run in variables["ids"]]  # type: ignore[attr-defined]
    return [str(run) for run in ids]


async def test_the_default_launcher_s_runs_of_an_earlier_platform_are_cancelled(tmp_path: Path) -> None:
    runs = {"a": 90.0, "b": 99.0, "of now": 150.0}

    assert await cancelled(tmp_path, {"name": "DefaultRunLauncher"}, runs) == ["a", "b"]
    assert await cancelled(tmp_path, {"name": "DefaultRunLauncher"}, {}) == []


@pytest.mark.parametrize("launcher", [None, {"name": "K8sRunLauncher"}])
async def test_runs_of_other_launchers_are_left_alone(tmp_path: Path, launcher: object) -> None:
    assert await cancelled(tmp_path, launcher, {"a": 90.0}) == []


async def test_of_our_launcher_s_runs_only_those_without_a_trace_are_cancelled(tmp_path: Path) -> None:
    runs = tmp_path / "launcher" / "runs"
    runs.mkdir(parents=True)
    records = RunRecords(runs)
    records.accept(request("waits"))
    records.claim("has a worker", NOBODY)
    records.claim("default launcher's", NO_WORKER)
    records.claim("default launcher's of an earlier platform", NO_WORKER)
    unfinished = {
        "waits": 90.0,
        "has a worker": 90.0,
        "default launcher's": 150.0,
        "default launcher's of an earlier platform": 90.0,
        "never launched": 150.0,
    }

    assert await cancelled(tmp_path, {"name": "ForkServerRunLauncher"}, unfinished) == [
        "default launcher's of an earlier platform",
        "never launched",
    ]
