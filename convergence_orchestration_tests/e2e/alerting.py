"""A platform whose alerts a test evaluates itself: real processes, real probes, a real webhook.

What belongs here: driving. An evaluation period is one round of probes and one evaluation, so no test waits for minutes to pass.
"""

import json
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import anyio
import dagster as dg
import httpx
import psutil
import yaml
from dagster._core.definitions.job_base import RepoBackedJob
from dagster._core.execution.api import execute_run_iterator

from convergence_orchestration.api.dagster_client import DagsterClient
from convergence_orchestration.definitions import build_definitions
from convergence_orchestration.gcp.bigquery import BigQuery
from convergence_orchestration.gcp.clients import bigquery_client, secret_manager_client
from convergence_orchestration.gcp.secrets import Secrets
from convergence_orchestration.health.alerting.channels import channels_secret_id
from convergence_orchestration.health.alerting.history import fold
from convergence_orchestration.health.alerting.jobs import EVALUATE_JOB
from convergence_orchestration.health.alerting.model import AlertEvent, AlertKind, Phase
from convergence_orchestration.health.alerting.resources import Alerts
from convergence_orchestration.health.alerting.rules import RULES_FILE
from convergence_orchestration.health.alerting.store import AlertEvents
from convergence_orchestration.health.jobs import HEALTH_JOB
from convergence_orchestration.local_platform import record
from convergence_orchestration.local_platform.directory import DataDirectory
from convergence_orchestration.local_platform.model import PlatformRecord, ServiceName
from convergence_orchestration.settings import Settings
from convergence_orchestration_tests.e2e.platform import PATIENCE, Platform
from convergence_orchestration_tests.health.alerting.receiver import Receiver


@dataclass
class Evaluator:
    """Evaluates the alerts of a platform from this process, as its sensor and its schedule do.

    Attributes:
        changed: what differs in the rules, by rule: thresholds that a test can wait for.
        strained: settings that differ.
    """

    platform: Platform
    webhook: Receiver
    changed: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    strained: Mapping[str, object] = field(default_factory=dict)

    @property
    def directory(self) -> DataDirectory:
        return DataDirectory.at(self.platform.data_dir)

    @property
    def settings(self) -> Settings:
        """Those of the platform's own processes."""
        own = {"run_authority_file": str(self.directory.authority_file), **self.strained}
        return self.platform.settings.model_copy(update=own)

    @contextmanager
    def instance(self) -> Iterator[dg.DagsterInstance]:
        """The platform's own Dagster."""
        with dg.DagsterInstance.from_config(str(self.directory.dagster_home)) as instance:
            yield instance

    def open_the_channel(self) -> None:
        """Let the webhook be the team's channel."""
        secrets = Secrets(secret_manager_client(self.settings), self.settings.gcp_project_id)
        secret_id = channels_secret_id(self.settings.environment)
        secrets.ensure_secret(secret_id)
        secrets.add_version(secret_id, json.dumps([{"name": "team", "url": self.webhook.url}]).encode())

    def period(self) -> None:
        """One round of probes, and one evaluation of what they and everything else say."""
        self.run(HEALTH_JOB)
        assert self.run(EVALUATE_JOB).is_success

    def launched_period(self) -> None:
        """The same by the platform's own workers. While its daemon lives it ends runs that none of these executes."""
        anyio.run(self._launch, HEALTH_JOB)
        assert anyio.run(self._launch, EVALUATE_JOB)

    async def _launch(self, job: str) -> bool:
        async with httpx.AsyncClient(trust_env=False) as http:
            dagster = DagsterClient(http, self.settings.dagster_base_url)
            outcome = await dagster.wait(await dagster.launch(job, {}, {}), PATIENCE)
        return outcome.error("") is None

    def evaluate(self) -> None:
        """One evaluation, without asking the probes anew."""
        assert self.run(EVALUATE_JOB).is_success

    def run(self, job: str, config: Mapping[str, object] | None = None) -> dg.DagsterRun:
        """One run in this process, as a worker executes it."""
        alerts = Alerts(own=self.settings.environment.value, rules=self.rules())
        repository = build_definitions(self.settings, {"alerts": alerts}).get_repository_def()
        found = RepoBackedJob(job, repository)
        with self.instance() as instance:
            run = instance.create_run_for_job(found.get_definition(), run_config=config)
            for _ in execute_run_iterator(found, run, instance):
                pass
            ended = instance.get_run_by_id(run.run_id)
        assert ended is not None
        return ended

    def rules(self) -> str:
        declared: dict[str, Any] = yaml.safe_load(RULES_FILE.read_text(encoding="utf-8"))
        for rule in declared["rules"]:
            rule.update(self.changed.get(rule["name"], {}))
        return yaml.safe_dump(declared)

    def told(self) -> dict[str, list[AlertKind]]:
        """What the team was told of each rule, in order."""
        events = self.events()
        arrived = {
            event.about for event in events if event.channel == "team" and event.kind is AlertKind.NOTIFIED
        }
        told: dict[str, list[AlertKind]] = {}
        for event in events:
            if event.event_id in arrived:
                told.setdefault(event.about_subject.rule, []).append(event.kind)
        return told

    def open_rules(self) -> set[str]:
        """The rules of which an alert is open and was told."""
        alerts = fold(self.events(), datetime.now(UTC)).alerts.values()
        is_open = {alert.about_subject.rule for alert in alerts if alert.phase is not Phase.PENDING}
        return is_open & self.told().keys()

    def events(self) -> list[AlertEvent]:
        """Everything that was ever recorded."""
        client = bigquery_client(self.settings)
        try:
            return AlertEvents(BigQuery(client)).remembered(datetime.now(UTC))
        finally:
            client.close()  # type: ignore[no-untyped-call]

    def fault(self, *rules: Mapping[str, object]) -> None:
        """From now on the emulators fail in these ways; without any, in none."""
        passing = self.platform.faults_file.with_suffix(".new")
        passing.write_text(yaml.safe_dump([dict(rule) for rule in rules]), encoding="utf-8")
        passing.rename(self.platform.faults_file)

    def pids(self, *services: str) -> list[int]:
        """The processes of these services, with their children."""
        found = [self._record.services[ServiceName(name)].identity for name in services]
        roots = [psutil.Process(identity.pid) for identity in found if identity is not None]
        assert len(roots) == len(services)
        return [each.pid for root in roots for each in (root, *root.children(recursive=True))]

    @property
    def supervisor(self) -> int:
        """Who starts again what ends."""
        identity = self._record.supervisor
        assert identity is not None
        return identity.pid

    @property
    def _record(self) -> PlatformRecord:
        found = record.read(self.directory)
        assert found is not None
        return found


@contextmanager
def stopped(pids: list[int]) -> Iterator[None]:
    """These processes stand still: they have their ports and answer nobody."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in reversed(pids):
            os.kill(pid, signal.SIGCONT)


def until(holds: Callable[[], bool], act: Callable[[], object], periods: int) -> int:
    """Act until it holds, at most so many times; how often it took."""
    for number in range(periods):
        if holds():
            return number
        act()
    assert holds(), f"not within {periods} periods"
    return periods


def within_seconds(seconds: float, holds: Callable[[], bool], act: Callable[[], object]) -> float:
    """The same by the clock, for what is measured over minutes of it; how many seconds it took."""
    began = time.monotonic()
    while not holds():
        assert time.monotonic() - began < seconds, f"not within {seconds} s"
        act()
        time.sleep(1)
    return time.monotonic() - began
