"""Everything that a rollout needs as real processes of one directory, each of which can be killed: Dagster's daemon, code server
and launcher, local BigQuery, Cloud Run's control process and node, the front door and Envoy."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import dagster as dg
import httpx
import psutil

from convergence_orchestration.gcp.bigquery import BigQuery
from convergence_orchestration.gcp.clients import bigquery_client
from convergence_orchestration.local_gcp.local_ca import ca_path
from convergence_orchestration.releases.model import EventKind, ReleaseEvent, RevisionName, shares_of
from convergence_orchestration.releases.site import opened
from convergence_orchestration.releases.specification import specification_of
from convergence_orchestration.releases.steering.making import Hand, Place, hand_event
from convergence_orchestration.settings import Settings, load_settings
from convergence_orchestration.warehouse.bootstrap import ensure_dataset, ensure_tables
from convergence_orchestration.warehouse.catalogue import central_tables
from convergence_orchestration_tests.audit.builders import ListSink
from convergence_orchestration_tests.emulators import free_port, running_local_bigquery, stop
from convergence_orchestration_tests.releases.cloud import RunCloud, Works, small_tree

DEFINITIONS = "convergence_orchestration.definitions"
PATIENT_DEFINITIONS = "convergence_orchestration_tests.releases.traffic.patient"
VICTIMS = ("daemon", "code-server", "control", "node", "front-door", "envoy")
_ROOT = Path(__file__).resolve().parents[3]
_PATIENCE = 240.0
_LOCATION = "convergence_orchestration"


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
        """SIGKILL, and started again a second later as the platform's supervisor does."""
        if name == "envoy":  # the front door starts it again by itself
            self.envoy().kill()
            return
        self.running[name].send_signal(signal.SIGKILL)
        self.running[name].wait()
        time.sleep(1)
        self.start(name)

    def envoy(self) -> psutil.Process:
        """The one Envoy."""
        mine = str((self.directory / "gcp" / "front_door" / "envoy.json").resolve())
        return next(one for one in psutil.process_iter(["cmdline"]) if mine in (one.info["cmdline"] or ()))

    def stop(self) -> None:
        """Stop all of them, the instances too."""
        for process in reversed(self.running.values()):
            stop(process)
        ended = [sys.executable, "-m", "convergence_orchestration.local_gcp.node", "--stop-instances"]
        subprocess.run([*ended, "--data-dir", str(self.directory / "gcp")], check=True, cwd=_ROOT)


@dataclass
class World:
    """A site whose releases real processes roll out."""

    works: Works
    processes: Processes

    def deploy(self, release: str, fault: str = "") -> RevisionName:
        """A release whose image is its own, handed over to the rollout."""
        tree = small_tree(self.processes.directory / "trees" / release, fault or f"none: {release}")
        return RevisionName(self.works.deploy(release, source=f"file://{tree}"))

    def promote(self) -> None:
        """Somebody's word, written where the rollout reads it: on with the release, whatever the clock says."""
        site = self.works.site
        known = site.events.of_service(site.environment, site.service)
        hand = Hand(EventKind.PROMOTE_NOW, reason="the first revision", actor="ana", run_id="first")
        site.events.append(hand_event(hand, Place(site.environment, site.service), known, site.clock()))

    def events(self, release: str) -> list[ReleaseEvent]:
        """What happened to it."""
        known = self.works.site.events.of_service(self.works.site.environment, self.works.service)
        return [event for event in known if event.release_id == release]

    def shares(self) -> dict[RevisionName, int]:
        """Who has which traffic, verified."""
        state = self.works.site.read()
        assert state is not None
        return {name: int(share) for name, share in shares_of(state.serving).items()}

    def until(
        self, release: str, kind: EventKind, percent: int | None = None, patience: float = _PATIENCE
    ) -> list[ReleaseEvent]:
        """Wait until the event is there (at this share); the release's events."""

        def is_there() -> bool:
            return any(
                event.kind is kind and percent in {None, event.traffic_percent}
                for event in self.events(release)
            )

        eventually(is_there, f"{release} {kind} {percent or ''}", patience)
        return self.events(release)


def eventually(look: Callable[[], bool], what: str, patience: float = _PATIENCE) -> None:
    deadline = time.monotonic() + patience
    while not look():
        assert time.monotonic() < deadline, what
        time.sleep(0.25)


@contextmanager
def running_world(bake_seconds: float, definitions: str = DEFINITIONS) -> Iterator[World]:
    """All processes, and a service with a stable revision; stopped at the end.

    Args:
        bake_seconds: of each stage.
        definitions: the module that Dagster loads.
    """
    with ExitStack() as undo:
        directory = Path(undo.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True)))
        bigquery, _ = undo.enter_context(running_local_bigquery(directory / "bigquery"))
        ports = {name: str(free_port()) for name in ("grpc", "rest", "http", "https", "code")}
        address = f"127.0.0.1:{ports['grpc']}"
        settings = _settings(bigquery.rest_url, address, directory / "gcp", bake_seconds)
        processes = Processes(directory, _environment(settings, directory))
        undo.callback(processes.stop)
        _start(processes, ports, definitions)
        client = bigquery_client(settings)
        undo.callback(client.close)
        warehouse = BigQuery(client)
        ensure_dataset(warehouse)
        list(ensure_tables(warehouse, central_tables()))
        eventually((directory / "gcp" / "local-gcp.key").exists, "the control process")
        specification = specification_of(settings.environment)
        site = undo.enter_context(opened(settings, specification, warehouse, ListSink()))
        cloud = RunCloud(directory / "gcp", address, directory / "trees")
        world = World(Works(cloud, replace(site, smoke_seconds=10.0), ListSink()), processes)
        world.deploy("v0")
        world.until("v0", EventKind.STAGE_VERIFIED)
        world.promote()
        world.until("v0", EventKind.FINISHED)
        yield world


def _settings(bigquery: str, cloud: str, data_dir: Path, bake_seconds: float) -> Settings:
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
        rollout_bake_seconds=bake_seconds,
    )


def _environment(settings: Settings, directory: Path) -> dict[str, str]:
    given = {name.upper(): str(getattr(settings, name)) for name in settings.model_fields_set}
    return {**os.environ, **given, "DAGSTER_HOME": str(directory / "dagster"), "PYTHONUNBUFFERED": "1"}


def _start(processes: Processes, ports: dict[str, str], definitions: str) -> None:
    gcp, home = processes.directory / "gcp", processes.directory / "dagster"
    gcp.mkdir()
    home.mkdir()
    shutil.copy(_ROOT / "dagster.yaml", home)
    with dg.DagsterInstance.from_config(str(home)) as instance:
        instance.get_runs_count()  # the tables are made by one process, before others would make them too
    workspace = home / "workspace.yaml"
    workspace.write_text(
        f"load_from:\n  - grpc_server: {{host: 127.0.0.1, port: {ports['code']}, location_name: {_LOCATION}}}\n"
    )
    local = "convergence_orchestration.local_gcp"
    doors = ("--http-port", ports["http"], "--https-port", ports["https"])
    processes.add("front-door", f"{local}.front_door", "--data-dir", str(gcp), *doors)
    where = ("--grpc-port", ports["grpc"], "--rest-port", ports["rest"], "--front-door-port", ports["https"])
    processes.add("control", f"{local}.server", "--data-dir", str(gcp), *where)
    processes.add("node", f"{local}.node", "--data-dir", str(gcp))
    module = ("--module-name", definitions, "--empty-working-directory")
    listening = ("--host", "127.0.0.1", "--port", ports["code"], "--location-name", _LOCATION)
    processes.add("code-server", "dagster", "api", "grpc", *module, *listening)
    processes.add("daemon", "dagster._daemon", "run", "-w", str(workspace))
    eventually(lambda: _is_up(int(ports["rest"])), "the control process")


def _is_up(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/healthz", trust_env=False).is_success
    except httpx.HTTPError:
        return False
