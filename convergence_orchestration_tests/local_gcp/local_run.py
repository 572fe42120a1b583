"""Cloud Run and Cloud Build as their real processes, with a tiny image and a front door that only says that it serves."""

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
from google.cloud.devtools.cloudbuild_v1 import Build, CloudBuildClient
from google.cloud.devtools.cloudbuild_v1.services.cloud_build.transports import CloudBuildGrpcTransport
from google.cloud.run_v2 import Revision, RevisionsClient, Service, ServicesClient
from google.cloud.run_v2.services.revisions.transports import RevisionsGrpcTransport
from google.cloud.run_v2.services.services.transports import ServicesGrpcTransport
from google.cloud.secretmanager_v1 import SecretManagerServiceClient
from google.cloud.secretmanager_v1.services.secret_manager_service.transports import (
    SecretManagerServiceGrpcTransport,
)

from convergence_orchestration.local_gcp.front_door_contract import (
    FrontDoorStatus,
    RoutedRevision,
    RoutedService,
    read_routes,
    write_status,
)
from convergence_orchestration_tests.emulators import free_port, fresh_project_id, stop

_ROOT = Path(__file__).resolve().parents[2]
_PATIENCE_SECONDS = 30
_APP = """
import http.server, json, os, sys, time

START = os.environ.get("START", "")
if START == "exit":
    sys.exit(7)
if START == "hang":
    time.sleep(600)


class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/die":
            os._exit(3)
        self.send_response(503 if self.path == "/never" else 200)
        self.end_headers()
        self.wfile.write(json.dumps({"pid": os.getpid(), "color": COLOR, **os.environ}).encode())

    def log_message(self, *args):
        pass


http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Answer).serve_forever()
"""
_PYPROJECT = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
[project]
name = "tiny"
version = "1"
[tool.hatch.build.targets.wheel]
packages = ["tiny"]
"""


def tiny_tree(directory: Path, color: str = "green") -> Path:
    """The sources of a service that tells its environment."""
    package = directory / "tiny"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "__main__.py").write_text(f"COLOR = {color!r}\n{_APP}")
    (directory / "pyproject.toml").write_text(_PYPROJECT)
    (directory / "Dockerfile").write_text('FROM python:3.13\nCMD ["python", "-m", "tiny"]\n')
    return directory


def build_of(tree: Path, *images: str, **fields: Any) -> Build:
    """A build as a deployment asks for it."""
    source = {"storage_source": {"bucket": "local", "object_": f"file://{tree}"}}
    return Build(
        {
            "source": source,
            "steps": [
                {"name": "gcr.io/cloud-builders/docker", "args": ["build", "-t", image, "."]}
                for image in images
            ],
            "images": list(images),
            **fields,
        }
    )


def eventually[T](look: Callable[[], T | None]) -> T:
    """What `look` finds, as soon as it is not None or False."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < deadline:
        found = look()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(f"not within {_PATIENCE_SECONDS} s: {look}")


@dataclass
class LocalRun:
    data_dir: Path
    grpc_port: int = field(default_factory=free_port)
    rest_port: int = field(default_factory=free_port)
    project: str = field(default_factory=fresh_project_id)
    children: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.data_dir.mkdir(parents=True, exist_ok=True)
        self.channel = grpc.insecure_channel(f"127.0.0.1:{self.grpc_port}")
        self.services = ServicesClient(transport=ServicesGrpcTransport(channel=self.channel))
        self.revisions = RevisionsClient(transport=RevisionsGrpcTransport(channel=self.channel))
        self.builds = CloudBuildClient(transport=CloudBuildGrpcTransport(channel=self.channel))
        self.secrets = SecretManagerServiceClient(
            transport=SecretManagerServiceGrpcTransport(channel=self.channel)
        )
        self.is_confirming = True
        self.in_flight: dict[str, float] = {}
        self._is_over = threading.Event()
        self._front_door = threading.Thread(target=self._serve)

    @property
    def location(self) -> str:
        return f"projects/{self.project}/locations/us-central1"

    @property
    def faults_file(self) -> Path:
        return self.data_dir / "faults.yaml"

    # processes

    def start(self) -> None:
        self.start_control()
        self.start_node()
        self._front_door.start()

    def start_control(self) -> None:
        ports = ["--grpc-port", str(self.grpc_port), "--rest-port", str(self.rest_port)]
        self._start("control", "server", *ports)
        eventually(lambda: _is_healthy(self.rest_port))

    def start_node(self) -> None:
        port = free_port()
        self._start("node", "node", "--health-port", str(port), "--pass-env", "PASSED_ON")
        eventually(lambda: _is_healthy(port))

    def kill(self, name: str) -> None:
        child = self.children.pop(name)
        child.kill()
        assert child.wait() == -signal.SIGKILL

    def close(self) -> None:
        self._is_over.set()
        self._front_door.join()
        for child in self.children.values():
            stop(child)
        self._start("ending", "node", "--stop-instances")
        assert self.children["ending"].wait() == 0
        self.channel.close()

    def _start(self, name: str, module: str, *arguments: str) -> None:
        command = [sys.executable, "-m", f"convergence_orchestration.local_gcp.{module}"]
        with (self.data_dir / f"{name}-process.log").open("ab") as log:
            self.children[name] = subprocess.Popen(
                [*command, "--data-dir", str(self.data_dir), *arguments],
                stdout=log,
                stderr=log,
                cwd=_ROOT,
                env={**os.environ, "PASSED_ON": "by the node", "KEPT": "from instances"},
            )

    def _serve(self) -> None:
        while not self._is_over.wait(0.03):
            if self.is_confirming:
                write_status(
                    self.data_dir, FrontDoorStatus(read_routes(self.data_dir).version, self.in_flight)
                )

    # what tests ask for

    def build(self, tree: Path, image: str, **fields: Any) -> str:
        """Build an image; its digest."""
        operation = self.builds.create_build(project_id=self.project, build=build_of(tree, image, **fields))
        name = operation.metadata.build.name
        built = eventually(lambda: self._finished(name))
        assert built.status == Build.Status.SUCCESS, built.status_detail
        digest: str = built.results.images[0].digest
        return digest

    def _finished(self, name: str) -> Build | None:
        build = self.builds.get_build(request={"name": name})
        return build if build.finish_time else None

    def create(self, service_id: str, image: str, **template: Any) -> Service:
        """A service that is ready; it has 100 % at its first revision."""
        self.services.create_service(
            parent=self.location, service_id=service_id, service=service_of(image, **template)
        )
        return self.ready(f"{self.location}/services/{service_id}")

    def ready(self, name: str) -> Service:
        """The service, once everything that was asked of it is so."""
        service = self.settled(name)
        assert service.terminal_condition.state.name == "CONDITION_SUCCEEDED", (
            service.terminal_condition.message
        )
        return service

    def settled(self, name: str) -> Service:
        """The service, once nothing is awaited any more."""

        def look() -> Service | None:
            service = self.services.get_service(name=name)
            return (
                None if service.reconciling or service.observed_generation < service.generation else service
            )

        return eventually(look)

    def decided(self, name: str) -> Revision:
        """The revision, once it is ready or has failed."""

        def look() -> Revision | None:
            revision = self.revisions.get_revision(name=name)
            return None if revision.reconciling else revision

        return eventually(look)

    def change(self, service: Service, *mask: str) -> Any:
        return self.services.update_service(
            request={"service": service, "update_mask": {"paths": list(mask)}}
        )

    def routed(self, name: str) -> RoutedService | None:
        services = read_routes(self.data_dir).services
        return next((one for one in services if name == f"{self.location}/services/{one.name}"), None)

    def routed_revisions(self, name: str) -> Mapping[str, RoutedRevision]:
        service = self.routed(name)
        return {revision.name: revision for revision in service.revisions} if service else {}

    def ports(self, service: str, revision: str) -> list[int]:
        found = self.routed_revisions(service).get(revision.rpartition("/")[2])
        return [instance.port for instance in found.instances] if found else []


def service_of(image: str, **template: Any) -> Service:
    """A service of one container; `env` and the probe are the container's."""
    container = {"image": image, "env": template.pop("env", [])}
    if "startup_probe" in template:
        container["startup_probe"] = template.pop("startup_probe")
    return Service({"template": {"containers": [container], **template}})


def fetch(port: int, path: str = "/") -> dict[str, Any]:
    """What an instance answers."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path)
        content: dict[str, Any] = json.loads(connection.getresponse().read())
        return content
    finally:
        connection.close()


def _is_healthy(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == http.client.OK
    except OSError:
        return False
    finally:
        connection.close()


@contextmanager
def running(data_dir: Path) -> Iterator[LocalRun]:
    cloud = LocalRun(data_dir)
    try:
        cloud.start()
        yield cloud
    finally:
        cloud.close()
