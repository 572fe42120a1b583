"""Cloud Run's control plane inside of the test's own process; the test itself plays the node."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
from google.cloud.devtools.cloudbuild_v1 import CloudBuildClient
from google.cloud.devtools.cloudbuild_v1.services.cloud_build.transports import CloudBuildGrpcTransport
from google.cloud.run_v2 import Revision, RevisionsClient, Service, ServicesClient
from google.cloud.run_v2.services.revisions.transports import RevisionsGrpcTransport
from google.cloud.run_v2.services.services.transports import ServicesGrpcTransport
from google.longrunning.operations_pb2 import GetOperationRequest

from convergence_orchestration.local_gcp import images
from convergence_orchestration.local_gcp.cloud_run import observe
from convergence_orchestration.local_gcp.cloud_run.conditions import RevisionReason
from convergence_orchestration.local_gcp.cloud_run.routing import target_of
from convergence_orchestration.local_gcp.images import Manifest
from convergence_orchestration.local_gcp.server import Ports, serving
from convergence_orchestration.local_gcp.store import Store
from convergence_orchestration_tests.emulators import fresh_project_id
from convergence_orchestration_tests.local_gcp.clouds import SettableClock
from convergence_orchestration_tests.local_gcp.local_run import service_of

IMAGE = "us-central1-docker.pkg.dev/platform/images/api:1"
DIGEST = f"sha256:{'a' * 64}"


@dataclass
class ControlPlane:
    data_dir: Path
    ports: Ports
    clock: SettableClock
    store: Store
    services: ServicesClient
    revisions: RevisionsClient
    builds: CloudBuildClient
    project: str = field(default_factory=fresh_project_id)

    @property
    def location(self) -> str:
        return f"projects/{self.project}/locations/us-central1"

    # what a caller does

    def ask(self, service_id: str = "api", **template: Any) -> Service:
        """A new service of which nothing runs yet."""
        self.services.create_service(
            parent=self.location, service_id=service_id, service=service_of(IMAGE, **template)
        )
        return self.read(f"{self.location}/services/{service_id}")

    def served(self, service_id: str = "api", **template: Any) -> Service:
        """A new service whose first revision gets 100 %."""
        service = self.ask(service_id, **template)
        self.becomes_ready(service.latest_created_revision)
        self.routes(service.name)
        return self.read(service.name)

    def change(self, service: Service, *mask: str, **flags: Any) -> Any:
        request = {"service": service, "update_mask": {"paths": list(mask)}, **flags}
        return self.services.update_service(request=request)

    def deploy(self, service: Service, revision: str = "") -> Service:
        """The service with a second revision, as yet without any instance."""
        asked = self.read(service.name)
        asked.template.revision = revision
        asked.template.labels["deployed"] = str(asked.generation + 1)
        self.change(asked)
        return self.read(service.name)

    def read(self, name: str) -> Service:
        return self.services.get_service(name=name)

    def operation(self, operation: Any) -> Any:
        """The operation as it is now."""
        return self.services.get_operation(GetOperationRequest(name=operation.operation.name))

    # what the node does

    def becomes_ready(self, revision: str) -> Revision:
        with self.store.writing() as rows:
            observe.revision_is_ready(rows, revision, self.clock())
        return self.revisions.get_revision(name=revision)

    def fails(self, revision: str, message: str = "It did not listen.") -> Revision:
        with self.store.writing() as rows:
            reason = RevisionReason.HEALTH_CHECK_CONTAINER_ERROR
            observe.revision_failed(rows, revision, message, reason, self.clock())
        return self.revisions.get_revision(name=revision)

    def routes(self, name: str) -> None:
        with self.store.writing() as rows:
            service = rows.get(Service, name)
            assert service is not None
            observe.requests_are_routed(rows, name, target_of(rows, service).shares, self.clock())

    def loses(self, name: str) -> None:
        with self.store.writing() as rows:
            observe.service_is_gone(rows, name)


@contextmanager
def running_control_plane(data_dir: Path) -> Iterator[ControlPlane]:
    clock = SettableClock()
    with serving(data_dir, clock=clock) as ports, grpc.insecure_channel(f"127.0.0.1:{ports.grpc}") as channel:
        store = Store(data_dir)
        keep_image(data_dir, store)
        yield ControlPlane(
            data_dir,
            ports,
            clock,
            store,
            ServicesClient(transport=ServicesGrpcTransport(channel=channel)),
            RevisionsClient(transport=RevisionsGrpcTransport(channel=channel)),
            CloudBuildClient(transport=CloudBuildGrpcTransport(channel=channel)),
        )
        store.close()


def keep_image(data_dir: Path, store: Store) -> None:
    """An image of which only the manifest is known."""
    directory = images.directory_of(data_dir, DIGEST)
    directory.mkdir(parents=True, exist_ok=True)
    images.write_manifest(directory, Manifest(DIGEST, (), "2026-11-23T12:00:00Z", ""))
    with store.writing() as rows:
        images.tag(rows, IMAGE, DIGEST)
