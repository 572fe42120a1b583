"""Cloud Run with node and front door as their real processes, one small image, and a site to release to."""

import itertools
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from convergence_orchestration.gcp.bigquery import BigQuery
from convergence_orchestration.gcp.clients import bigquery_client
from convergence_orchestration.local_gcp.local_ca import ca_path
from convergence_orchestration.releases.deploying import Deployment
from convergence_orchestration.releases.model import ReleaseId
from convergence_orchestration.releases.order import Order
from convergence_orchestration.releases.site import Site, opened
from convergence_orchestration.releases.specification import ServiceSpecification
from convergence_orchestration.settings import Settings
from convergence_orchestration_tests.audit.builders import ListSink
from convergence_orchestration_tests.emulators import free_port, stop
from convergence_orchestration_tests.local_gcp.front_door.doors import eventually, running_door

_ROOT = Path(__file__).resolve().parents[2]
_numbers = itertools.count(1)
_SMALL_IMAGE = Path(__file__).with_name("small_image")


def small_tree(directory: Path, fault: str = "") -> Path:
    """The sources of a small image: see `small_image/small/__main__.py`. Another fault, another image."""
    shutil.copytree(_SMALL_IMAGE, directory)
    (directory / "small" / "fault.py").write_text(f"FAULT = {fault!r}\n")
    return directory


@dataclass(frozen=True)
class RunCloud:
    """The running processes: their directory and address, and the sources of the small image."""

    data_dir: Path
    grpc_address: str
    tree: Path

    @property
    def faults_file(self) -> Path:
        return self.data_dir / "faults.yaml"

    @property
    def source(self) -> str:
        return f"file://{self.tree}"

    def settings(self, settings: Settings) -> Settings:
        hosts = dict.fromkeys(
            ("run_emulator_host", "build_emulator_host", "monitoring_emulator_host"), self.grpc_address
        )
        return settings.model_copy(update={**hosts, "run_authority_file": str(ca_path(self.data_dir))})


@contextmanager
def running_cloud(data_dir: Path) -> Iterator[RunCloud]:
    grpc_port = free_port()
    with running_door(data_dir) as door:
        ports = ["--grpc-port", str(grpc_port), "--rest-port", str(free_port())]
        server = _started(data_dir, "server", *ports, "--front-door-port", str(door.https_port))
        node = _started(data_dir, "node")
        try:
            eventually(lambda: (data_dir / "local-gcp.key").exists() and ca_path(data_dir).exists())
            yield RunCloud(data_dir, f"127.0.0.1:{grpc_port}", small_tree(data_dir / "sources"))
        finally:
            stop(node)
            assert _started(data_dir, "node", "--stop-instances").wait() == 0
            stop(server)


def _started(data_dir: Path, module: str, *arguments: str) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", f"convergence_orchestration.local_gcp.{module}"]
    with (data_dir / f"{module}.log").open("ab") as log:
        return subprocess.Popen(
            [*command, "--data-dir", str(data_dir), *arguments], stdout=log, stderr=log, cwd=_ROOT
        )


def small_specification(**fields: object) -> ServiceSpecification:
    """A service of one instance whose name no other test has."""
    return ServiceSpecification.model_validate(
        {
            "service": f"api-{next(_numbers)}",
            "max_instances": 1,
            "startup_probe": {
                "path": "/health/live",
                "period_seconds": 1,
                "timeout_seconds": 1,
                "failure_threshold": 10,
            },
            **fields,
        }
    )


@dataclass
class Works:
    """A site whose releases a test makes."""

    cloud: RunCloud
    site: Site
    audit: ListSink
    backup_at: datetime | None = field(default_factory=lambda: datetime.now(UTC))

    @property
    def service(self) -> str:
        return self.site.service

    def own_source(self, directory: Path) -> str:
        """Sources in `directory` whose image no other test has tried."""
        tree = shutil.copytree(self.cloud.tree, directory / "tree")
        (tree / "small" / "own.py").write_text(f"SERVICE = {self.service!r}\n")
        return f"file://{tree}"

    def order(self, release: str = "v1", **fields: object) -> Order:
        known = {"source": self.cloud.source, "actor": "ana", **fields}
        return Order(ReleaseId(release), self.site.environment, self.service, **known)  # type: ignore[arg-type]

    def deployment(self, release: str = "v1", **fields: object) -> Deployment:
        return Deployment(self.site, self.order(release, **fields), lambda _bigquery, _now: self.backup_at)

    def behaving(self, behaviour: str) -> "Works":
        """The same, whose next revisions behave in this way."""
        variables = {"BEHAVIOUR": behaviour} if behaviour else {}
        specification = self.site.specification.model_copy(update={"variables": variables})
        return replace(self, site=replace(self.site, specification=specification))

    def deploy(self, release: str = "v1", **fields: object) -> str:
        """The whole deployment; the revision."""
        one = self.deployment(release, **fields)
        one.begin()
        image = one.image().reference
        deployed = one.revision(image)
        one.smoke(deployed, image)
        return deployed.revision


@contextmanager
def works_at(cloud: RunCloud, settings: Settings, **specification: object) -> Iterator[Works]:
    audit = ListSink()
    client = bigquery_client(settings)
    with opened(
        cloud.settings(settings), small_specification(**specification), BigQuery(client), audit
    ) as site:
        yield Works(cloud, replace(site, smoke_seconds=2.0), audit)
    client.close()  # type: ignore[no-untyped-call]
