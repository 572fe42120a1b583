import json
import re
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from convergence_orchestration.api.metrics import Metrics
from convergence_orchestration.api.services import utc_now
from convergence_orchestration.errors import ErrorCode, PermanentError, TransientError
from convergence_orchestration.exporting.asking import DagsterQuestions
from convergence_orchestration.exporting.metrics import DagsterMetrics
from convergence_orchestration.exporting.model import (
    Daemon,
    DagsterState,
    EndedRun,
    Instigator,
    LiveRun,
    state_of,
)
from convergence_orchestration.exporting.serving import MetricsServer
from convergence_orchestration.keys.index import KeyIndex
from convergence_orchestration.tenancy.index import TenantIndex

NOW = 1_800_000_000.0
DASHBOARD = Path(__file__).resolve().parents[2] / "deploy" / "grafana" / "convergence.json"
STATE = DagsterState(
    daemons=(
        Daemon("SENSOR", is_required=True, is_healthy=True, heartbeat=NOW - 3),
        Daemon("BACKFILL", is_required=True, is_healthy=False, heartbeat=None),
        Daemon("X", is_required=False, is_healthy=False, heartbeat=1.0),
    ),
    live=(
        LiveRun("bootstrap", "STARTED", NOW - 5),
        LiveRun("fulfil", "QUEUED", NOW - 30),
        LiveRun("fulfil", "QUEUED", NOW),
    ),
    ended=(
        EndedRun("run-1", "bootstrap", "SUCCESS", NOW, 2.0),
        EndedRun("run-2", "bootstrap", "FAILURE", NOW, None),
    ),
    instigators=(
        Instigator(
            "sensor", "traffic", is_running=True, interval=5, last_tick=NOW - 12, last_status="SKIPPED"
        ),
        Instigator(
            "schedule", "daily", is_running=True, interval=0, last_tick=NOW - 60, last_status="FAILURE"
        ),
        Instigator("sensor", "off", is_running=False, interval=5, last_tick=NOW - 999, last_status="SUCCESS"),
        Instigator("sensor", "never", is_running=True, interval=5, last_tick=None, last_status=None),
    ),
)


class Clock:
    now = NOW

    def __call__(self) -> float:
        return self.now


class Dagster:
    """Answers with a state, or not at all."""

    state: DagsterState | None = STATE
    asked_since: float = 0.0

    def __call__(self, since: float) -> DagsterState:
        self.asked_since = since
        if self.state is None:
            raise TransientError(ErrorCode.DAGSTER_UNAVAILABLE, "It did not answer.")
        return self.state


def samples(text: bytes) -> dict[tuple[str, ...], float]:
    """Each sample by its name and its labels' values."""
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def test_what_dagster_says_becomes_metrics() -> None:
    found = samples(DagsterMetrics(Dagster(), Clock()).text())

    assert found["convergence_dagster_up",] == 1
    assert found["convergence_dagster_runs_live", "fulfil", "QUEUED"] == 2
    assert found["convergence_dagster_queue_age_seconds",] == 30
    assert found["convergence_dagster_daemon_heartbeat_age_seconds", "SENSOR"] == 3
    assert found["convergence_dagster_daemon_healthy", "BACKFILL"] == 0
    assert ("convergence_dagster_daemon_heartbeat_age_seconds", "BACKFILL") not in found
    assert ("convergence_dagster_daemon_healthy", "X") not in found
    assert found["convergence_dagster_sensor_lag_seconds", "traffic"] == 7
    assert found["convergence_dagster_last_tick_failed", "schedule", "daily"] == 1
    assert not {name for name in found if name[-1] in {"off", "never"}}
    assert found["convergence_dagster_run_duration_seconds_count", "bootstrap"] == 1


def test_each_ended_run_is_counted_once() -> None:
    clock, dagster = Clock(), Dagster()
    metrics = DagsterMetrics(dagster, clock)
    metrics.text()
    clock.now += 100
    found = samples(metrics.text())

    assert found["convergence_dagster_runs_ended_total", "bootstrap", "SUCCESS"] == 1
    assert found["convergence_dagster_runs_ended_total", "bootstrap", "FAILURE"] == 1
    assert dagster.asked_since == NOW
    clock.now += 1000
    metrics.text()
    clock.now += 10
    dagster.state = replace(STATE, ended=(EndedRun("run-3", "bootstrap", "SUCCESS", clock.now, 1.0),))
    assert samples(metrics.text())["convergence_dagster_runs_ended_total", "bootstrap", "SUCCESS"] == 2
    assert dagster.asked_since == clock.now - 10 - 30


def test_runs_from_before_the_exporter_are_not_its_to_count() -> None:
    dagster = Dagster()
    dagster.state = replace(STATE, ended=(EndedRun("old", "bootstrap", "SUCCESS", NOW - 1, 2.0),))

    assert not {name for name in samples(DagsterMetrics(dagster, Clock()).text()) if "runs_ended" in name[0]}


def test_a_dagster_that_does_not_answer_is_down_and_nothing_else_is_claimed() -> None:
    dagster = Dagster()
    metrics = DagsterMetrics(dagster, Clock())
    metrics.text()
    dagster.state = None
    found = samples(metrics.text())

    assert found["convergence_dagster_up",] == 0
    assert ("convergence_dagster_queue_age_seconds",) not in found
    assert found["convergence_dagster_runs_ended_total", "bootstrap", "SUCCESS"] == 1


def an_answer(**changes: Any) -> dict[str, Any]:
    return {
        "instance": {
            "daemonHealth": {
                "allDaemonStatuses": [
                    {"daemonType": "SENSOR", "required": True, "healthy": None, "lastHeartbeatTime": 1.5}
                ]
            }
        },
        "live": {"results": [{"jobName": "a", "status": "QUEUED", "creationTime": 1.0}]},
        "ended": {
            "results": [
                {
                    "runId": "r",
                    "jobName": "a",
                    "status": "SUCCESS",
                    "updateTime": 9.0,
                    "startTime": 5.0,
                    "endTime": 8.0,
                }
            ]
        },
        "sensorsOrError": {
            "results": [
                {"name": "s", "minIntervalSeconds": 5, "sensorState": {"status": "RUNNING", "ticks": []}}
            ]
        },
        "schedulesOrError": {
            "results": [
                {
                    "name": "d",
                    "scheduleState": {
                        "status": "STOPPED",
                        "ticks": [{"timestamp": 1.0, "status": "SUCCESS"}],
                    },
                }
            ]
        },
        **changes,
    }


def test_an_answer_is_read() -> None:
    assert state_of(an_answer()) == DagsterState(
        daemons=(Daemon("SENSOR", is_required=True, is_healthy=False, heartbeat=1.5),),
        live=(LiveRun("a", "QUEUED", 1.0),),
        ended=(EndedRun("r", "a", "SUCCESS", 9.0, 3.0),),
        instigators=(
            Instigator("sensor", "s", is_running=True, interval=5.0, last_tick=None, last_status=None),
            Instigator("schedule", "d", is_running=False, interval=0.0, last_tick=1.0, last_status="SUCCESS"),
        ),
    )


@pytest.mark.parametrize(
    "changes", [{"live": {"__typename": "PythonError"}}, {"instance": None}, {"ended": {"results": [{}]}}]
)
def test_an_answer_that_is_none_is_an_error_and_not_an_empty_dagster(changes: dict[str, Any]) -> None:
    with pytest.raises(TransientError):
        state_of(an_answer(**changes))


@pytest.fixture
def address() -> Iterator[str]:
    """The exporter, served."""
    with MetricsServer("127.0.0.1", 0, DagsterMetrics(Dagster(), Clock()).text) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield f"http://127.0.0.1:{server.port}"
        server.shutdown()
        thread.join()


def test_prometheus_reads_them_at_metrics_and_nothing_else(address: str) -> None:
    answer = httpx.get(f"{address}/metrics?x=1", trust_env=False)

    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    assert samples(answer.content)["convergence_dagster_up",] == 1
    assert httpx.get(f"{address}/", trust_env=False).status_code == 404


def test_a_taken_port_is_said_so(address: str) -> None:
    with pytest.raises(PermanentError, match="Choose another --port"):
        MetricsServer("127.0.0.1", int(address.rpartition(":")[2]), bytes)


def test_a_web_server_that_is_none_is_an_error(address: str) -> None:
    for url in ("http://127.0.0.1:9", address):
        questions = DagsterQuestions(url)
        with pytest.raises(TransientError, match="did not answer"):
            questions.ask(0)
        questions.close()


def names_in(text: bytes) -> set[str]:
    """What can stand in an expression: the names of samples, and of families that have none yet."""
    families = list(text_string_to_metric_families(text.decode()))
    declared = {family.name for family in families if family.type in {"gauge", "unknown"}}
    counters = {f"{family.name}_total" for family in families if family.type == "counter"}
    histograms = {f"{family.name}_bucket" for family in families if family.type == "histogram"}
    return declared | counters | histograms


def test_every_metric_of_the_dashboard_is_in_one_of_the_exporters_output() -> None:
    of_the_api = Metrics({"key": KeyIndex(), "tenant": TenantIndex()}, utc_now, "development").text()
    known = names_in(of_the_api) | names_in(DagsterMetrics(Dagster(), Clock()).text())
    dashboard = json.loads(DASHBOARD.read_text())
    expressions = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    named = {name for expression in expressions for name in re.findall(r"convergence_\w+", expression)}

    assert len(expressions) >= 20
    assert named - known == set()
    unseen = {name for name in known - named if not name.endswith("_created")}
    assert unseen == set(), "what nobody looks at"


def test_the_dashboards_labels_are_those_of_its_metrics() -> None:
    api = Metrics({}, utc_now, "development")
    api.request("GET", "/health", 200, 0.01)
    api.error("unauthorized")
    api.run("bootstrap")
    api.audit_failure()
    api.limit("STARTER", "minute", 100)
    labels = {
        label
        for text in (api.text(), DagsterMetrics(Dagster(), Clock()).text())
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
        for label in sample.labels
    }
    text = DASHBOARD.read_text()
    used = {
        label.strip() for group in re.findall(r"by \(([^)]*)\)", text) for label in group.split(",")
    } | set(re.findall(r"\{\{(\w+)\}\}", text))

    assert used <= labels
