"""A bad release under load with every real process, and a good one while they are killed: `python -m benchmarks.rollback`.

Dagster's daemon, code server and launcher, local BigQuery, Cloud Run's control process and node, the front door and Envoy, and
100 requests a second. Each `--times` a release with 20 % errors: seconds from its first bad answer until the stable revision has
all traffic, verified. Then, with `--kills`, a good release while one process after the other is ended by SIGKILL.
"""

import argparse
import itertools
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import dagster as dg
import httpx
import psutil

from convergence_orchestration.gcp.bigquery import BigQuery
from convergence_orchestration.gcp.clients import bigquery_client
from convergence_orchestration.local_gcp.local_ca import ca_path
from convergence_orchestration.releases.model import EventKind, ReleaseEvent, shares_of
from convergence_orchestration.releases.site import opened
from convergence_orchestration.releases.specification import specification_of
from convergence_orchestration.settings import Settings, load_settings
from convergence_orchestration.warehouse.bootstrap import ensure_dataset, ensure_tables
from convergence_orchestration.warehouse.catalogue import central_tables
from convergence_orchestration_tests.audit.builders import ListSink
from convergence_orchestration_tests.emulators import free_port, running_local_bigquery, stop
from convergence_orchestration_tests.releases.cloud import RunCloud, Works
from convergence_orchestration_tests.releases.traffic.driving import Answers, asking, working_tree

_ROOT = Path(__file__).resolve().parents[1]
_RATE = 100
_PATIENCE = 240.0
_KILLS = 12


@dataclass
class Processes:
    """Everything that can be killed, each with the command that starts it again."""

    directory: Path
    environment: dict[str, str]
    commands: dict[str, list[str]] = field(default_factory=dict)
    running: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)

    def add(self, name: str, *command: str) -> None:
        """Start `python -m COMMAND...` under this name."""
        self.commands[name] = [sys.executable, "-m", *command]
        self.start(name)

    def start(self, name: str) -> None:
        """Start it, for the first time or again."""
        with (self.directory / f"{name}.log").open("ab") as log:
            self.running[name] = subprocess.Popen(
                self.commands[name], stdout=log, stderr=log, cwd=_ROOT, env=self.environment
            )

    def kill(self, name: str) -> None:
        """SIGKILL, and started again a second later as the supervisor does."""
        if name == "envoy":  # the front door starts it again by itself
            for process in self._envoys():
                process.kill()
            return
        self.running[name].send_signal(signal.SIGKILL)
        self.running[name].wait()
        time.sleep(1)
        self.start(name)

    def stop(self) -> None:
        """Stop all of them, the instances too."""
        for process in reversed(self.running.values()):
            stop(process)
        ended = [sys.executable, "-m", "convergence_orchestration.local_gcp.node", "--stop-instances"]
        subprocess.run([*ended, "--data-dir", str(self.directory / "gcp")], check=True, cwd=_ROOT)

    def _envoys(self) -> list[psutil.Process]:
        mine = str((self.directory / "gcp" / "front_door" / "envoy.json").resolve())
        return [one for one in psutil.process_iter(["cmdline"]) if mine in (one.info["cmdline"] or ())]


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description="Rollbacks and kills with every real process")
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--kills", action="store_true")
    arguments = parser.parse_args()
    with _platform() as (works, processes):
        works.deploy("v0")
        _until(works, "v0", EventKind.STAGE_VERIFIED)
        with asking(works, _RATE) as answers:
            _until(works, "v0", EventKind.FINISHED)
            print(
                "| release | s to stable 100 % | requests harmed | why |\n| --- | --- | --- | --- |",
                flush=True,
            )
            for number in range(arguments.times):
                _bad(works, f"bad-{number}", answers)
            if arguments.kills:
                _good_while_killed(works, processes, answers)


def _bad(works: Works, release: str, answers: Answers) -> None:
    before = len(answers.errors)
    works.behaving("errors").deploy(release)
    events = _until(works, release, EventKind.STOPPED)
    (rolled_back,) = [event for event in events if event.kind is EventKind.ROLLED_BACK]
    took = events[-1].recorded_at.timestamp() - answers.errors[before]
    print(f"| {release} | {took:.1f} | {len(answers.errors) - before} | {rolled_back.reason} |", flush=True)


def _good_while_killed(works: Works, processes: Processes, answers: Answers) -> None:
    before, release = dict(answers.counts), "good"
    stable = next(iter(shares_of(_state(works))))
    works.behaving("good").deploy(release)
    killed: list[str] = []
    victims = itertools.cycle(("daemon", "code-server", "control", "node", "front-door", "envoy"))
    deadline = time.monotonic() + _PATIENCE
    while not _has(works, release, EventKind.FINISHED):
        assert time.monotonic() < deadline, [f"{one.kind} {one.reason}" for one in _events(works, release)]
        if len(killed) < _KILLS:
            killed.append(next(victims))
            processes.kill(killed[-1])
        time.sleep(4)
    counts = {status: number - before.get(status, 0) for status, number in answers.counts.items()}
    stages = [
        event.traffic_percent for event in _events(works, release) if event.kind is EventKind.STAGE_VERIFIED
    ]
    assert stages == [10, 50, 100], stages
    assert stable not in shares_of(_state(works))
    print(f"\nkilled: {', '.join(killed)}; stages {stages}; answers {counts}")
    for event in _events(works, release):
        print(f"{event.recorded_at:%H:%M:%S} {event.kind} {event.reason}")


def _state(works: Works) -> tuple:  # type: ignore[type-arg]
    state = works.site.read()
    assert state is not None
    return state.serving


def _events(works: Works, release: str) -> list[ReleaseEvent]:
    known = works.site.events.of_service(works.site.environment, works.service)
    return [event for event in known if event.release_id == release]


def _has(works: Works, release: str, kind: EventKind) -> bool:
    return any(event.kind is kind for event in _events(works, release))


def _until(works: Works, release: str, kind: EventKind) -> list[ReleaseEvent]:
    _eventually(lambda: _has(works, release, kind), f"{release} {kind}")
    return _events(works, release)


def _eventually(look: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + _PATIENCE
    while not look():
        assert time.monotonic() < deadline, what
        time.sleep(0.5)


@contextmanager
def _platform() -> Iterator[tuple[Works, Processes]]:
    with ExitStack() as undo:
        directory = Path(undo.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True)))
        bigquery, _ = undo.enter_context(running_local_bigquery(directory / "bigquery"))
        ports = {name: str(free_port()) for name in ("grpc", "rest", "http", "https", "code")}
        settings = _settings(bigquery.rest_url, f"127.0.0.1:{ports['grpc']}", directory / "gcp")
        processes = Processes(directory, _environment(settings, directory))
        undo.callback(processes.stop)
        _start(processes, directory, ports)
        client = bigquery_client(settings)
        warehouse = BigQuery(client)
        ensure_dataset(warehouse)
        list(ensure_tables(warehouse, central_tables()))
        cloud = RunCloud(directory / "gcp", f"127.0.0.1:{ports['grpc']}", working_tree(directory / "tree"))
        specification = specification_of(settings.environment)
        _eventually((directory / "gcp" / "local-gcp.key").exists, "the control process")
        site = undo.enter_context(opened(settings, specification, warehouse, ListSink()))
        yield Works(cloud, site, ListSink()), processes


def _settings(bigquery: str, cloud: str, data_dir: Path) -> Settings:
    return load_settings(
        _env_file=None,
        gcp_project_id="convergence-benchmark",
        bigquery_emulator_host=bigquery,
        kms_emulator_host=cloud,
        secret_manager_emulator_host=cloud,
        run_emulator_host=cloud,
        build_emulator_host=cloud,
        monitoring_emulator_host=cloud,
        run_authority_file=str(ca_path(data_dir)),
        rollout_bake_seconds=10,
    )


def _environment(settings: Settings, directory: Path) -> dict[str, str]:
    given = {name.upper(): str(getattr(settings, name)) for name in settings.model_fields_set}
    return {**os.environ, **given, "DAGSTER_HOME": str(directory / "dagster"), "PYTHONUNBUFFERED": "1"}


def _start(processes: Processes, directory: Path, ports: dict[str, str]) -> None:
    gcp, home = directory / "gcp", directory / "dagster"
    gcp.mkdir()
    home.mkdir()
    shutil.copy(_ROOT / "dagster.yaml", home)
    with dg.DagsterInstance.from_config(str(home)) as instance:
        instance.get_runs_count()  # the tables are made by one process, before others would make them too
    workspace = home / "workspace.yaml"
    workspace.write_text(
        f"load_from:\n  - grpc_server: {{host: 127.0.0.1, port: {ports['code']}, location_name: convergence_orchestration}}\n"
    )
    local = "convergence_orchestration.local_gcp"
    doors = ("--http-port", ports["http"], "--https-port", ports["https"])
    processes.add("front-door", f"{local}.front_door", "--data-dir", str(gcp), *doors)
    where = ("--grpc-port", ports["grpc"], "--rest-port", ports["rest"], "--front-door-port", ports["https"])
    processes.add("control", f"{local}.server", "--data-dir", str(gcp), *where)
    processes.add("node", f"{local}.node", "--data-dir", str(gcp))
    module = ("--module-name", "convergence_orchestration.definitions", "--empty-working-directory")
    listening = (
        "--host",
        "127.0.0.1",
        "--port",
        ports["code"],
        "--location-name",
        "convergence_orchestration",
    )
    processes.add("code-server", "dagster", "api", "grpc", *module, *listening)
    processes.add("daemon", "dagster._daemon", "run", "-w", str(workspace))
    _eventually(lambda: _is_up(int(ports["rest"])), "the control process")


def _is_up(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/healthz", trust_env=False).is_success
    except httpx.HTTPError:
        return False


if __name__ == "__main__":
    main()
