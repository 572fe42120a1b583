"""Cloud Run: the services of one region, their revisions and their traffic.

What belongs here: the calls, with deadlines and retries that fit them, and waiting until something is really so. What a
service shall look like and who gets which share is the business of `releases`.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, Final

from google.api_core import exceptions as google
from google.cloud.run_v2 import (
    Condition,
    Revision,
    RevisionsClient,
    Service,
    ServicesClient,
    TrafficTarget,
)

from convergence_orchestration.errors import ErrorCode, PermanentError, TransientError
from convergence_orchestration.gcp.deadlines import TOTAL_SECONDS, each_attempt, repeatable
from convergence_orchestration.gcp.grants import project_grant
from convergence_orchestration.gcp.translate import Service as NamedService
from convergence_orchestration.gcp.translate import translated

READY: Final = "Ready"
STALE: Final = "stale_etag"
"""In the details of the error about a change that somebody else overtook."""

_LOOK_SECONDS: Final = 0.25
_State: Any = Condition.State
_DECIDED: Final = (_State.CONDITION_SUCCEEDED, _State.CONDITION_FAILED)


class CloudRun:
    """Cloud Run in one project and region. A service or revision is named by its short name.

    Every method raises the errors of `translate.py`. A change is asked for and not waited for; one that came too late, because
    somebody else changed the service meanwhile, raises a TransientError for which `is_stale` is true.

    Args:
        services, revisions: Google's clients.
        project, region: where.
        total_seconds: how long one call is repeated until it is given up.
        pause: sleeps so many seconds between two looks.
    """

    def __init__(
        self,
        services: ServicesClient,
        revisions: RevisionsClient,
        project: str,
        region: str,
        *,
        total_seconds: float = TOTAL_SECONDS,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self.services = services
        self.revisions = revisions
        self.project = project
        self.region = region
        self._parent = f"projects/{project}/locations/{region}"
        self._total_seconds = total_seconds
        self._pause = pause
        self._translated = partial(
            translated,
            service=NamedService("Cloud Run", str(services.transport.host), project),
            grant=project_grant(project, "roles/run.admin"),
        )

    def service_name(self, service_id: str) -> str:
        """The service's full name."""
        return f"{self._parent}/services/{service_id}"

    def find_service(self, service_id: str) -> Service | None:
        """The service as it is now, or None if there is none."""
        with self._translated(f"reading service {service_id}"):
            try:
                return self.services.get_service(
                    name=self.service_name(service_id), retry=self._repeatable(), timeout=each_attempt()
                )
            except google.NotFound:
                return None

    def find_revision(self, service_id: str, revision: str) -> Revision | None:
        """The revision as it is now, or None if there is none."""
        name = f"{self.service_name(service_id)}/revisions/{revision}"
        with self._translated(f"reading revision {revision}"):
            try:
                return self.revisions.get_revision(
                    name=name, retry=self._repeatable(), timeout=each_attempt()
                )
            except google.NotFound:
                return None

    def list_revisions(self, service_id: str) -> list[Revision]:
        """Every revision of a service, the newest first."""
        with self._translated(f"listing revisions of {service_id}"):
            return list(
                self.revisions.list_revisions(
                    parent=self.service_name(service_id), retry=self._repeatable(), timeout=each_attempt()
                )
            )

    def create(self, service_id: str, service: Service) -> None:
        """Ask for a new service; stale if there is one of that name by now."""
        with self._translated(f"creating service {service_id}"), _overtaken(service_id):
            self.services.create_service(
                parent=self._parent,
                service_id=service_id,
                service=service,
                retry=self._repeatable(),
                timeout=each_attempt(),
            )

    def update(self, service_id: str, service: Service, fields: Sequence[str]) -> None:
        """Ask for these fields of a service as they are in `service`, whose etag says what the change is based on.

        A repeated change whose first answer was lost is stale too: read again before deciding anew.
        """
        service.name = self.service_name(service_id)
        with self._translated(f"changing service {service_id}"), _overtaken(service_id):
            self.services.update_service(
                request={"service": service, "update_mask": {"paths": list(fields)}},
                retry=self._repeatable(),
                timeout=each_attempt(),
            )

    def change_traffic(self, service_id: str, targets: Sequence[TrafficTarget], etag: str) -> None:
        """Ask for this traffic and nothing else."""
        self.update(service_id, Service(traffic=list(targets), etag=etag), ["traffic"])

    def wait_for_revision(self, service_id: str, revision: str, seconds: float) -> Revision:
        """The revision when it is decided whether it can serve, which `is_ready` then says.

        It is the revision itself that is asked: a service's `latest_ready_revision` stays on the old one while the new one
        has no traffic.

        Raises:
            TransientError: DEADLINE_EXCEEDED if it is not decided within so many seconds.
        """

        def look() -> Revision | None:
            found = self.find_revision(service_id, revision)
            return found if found is not None and is_decided(found) else None

        return self._awaited(look, f"whether revision {revision} can serve", seconds)

    def wait_until_settled(self, service_id: str, seconds: float) -> Service:
        """The service when its last change is carried out or refused for good.

        Raises:
            TransientError: DEADLINE_EXCEEDED if that takes longer.
        """

        def look() -> Service | None:
            found = self.find_service(service_id)
            return found if found is not None and is_settled(found) else None

        return self._awaited(look, f"what becomes of service {service_id}", seconds)

    def console_url(self, service_id: str) -> str:
        """Where a person looks at the service."""
        return f"https://console.cloud.google.com/run/detail/{self.region}/{service_id}/revisions?project={self.project}"

    def close(self) -> None:
        """Close both clients."""
        self.services.transport.close()  # type: ignore[no-untyped-call]
        self.revisions.transport.close()  # type: ignore[no-untyped-call]

    def _repeatable(self) -> Any:  # noqa: ANN401 Google's Retry
        return repeatable(self._total_seconds)

    def _awaited[T](self, look: Callable[[], T | None], what: str, seconds: float) -> T:
        waited = 0.0
        while (found := look()) is None:
            if waited >= seconds:
                raise TransientError(
                    ErrorCode.DEADLINE_EXCEEDED,
                    f"Look again in a while: Cloud Run has not decided {what} within {seconds:.0f} s.",
                )
            self._pause(_LOOK_SECONDS)
            waited += _LOOK_SECONDS
        return found


def is_stale(error: Exception) -> bool:
    """Whether a change was refused because the service has changed since it was read."""
    return isinstance(error, TransientError) and bool(error.details.get(STALE))


def condition_of(revision: Revision) -> Condition | None:
    """What the revision says about being able to serve."""
    return next((one for one in revision.conditions if one.type_ == READY), None)


def is_decided(revision: Revision) -> bool:
    """Whether Cloud Run has found out if the revision can serve."""
    ready = condition_of(revision)
    return ready is not None and ready.state in _DECIDED and not revision.reconciling


def is_ready(revision: Revision) -> bool:
    """Whether the revision can serve."""
    ready = condition_of(revision)
    return is_decided(revision) and ready is not None and ready.state == _State.CONDITION_SUCCEEDED


def is_settled(service: Service) -> bool:
    """Whether the service's last change was carried out or refused for good."""
    caught_up = service.observed_generation == service.generation and not service.reconciling
    return caught_up and service.terminal_condition.state in _DECIDED


@contextmanager
def _overtaken(service_id: str) -> Iterator[None]:
    """Turn a stale etag, or a service that appeared meanwhile, into an error that `is_stale`."""
    try:
        yield
    except (google.Aborted, google.AlreadyExists) as error:
        if "revision named" in str(error).lower():
            raise PermanentError(
                ErrorCode.ALREADY_EXISTS,
                "Release under another name: there is a revision of this name that was made from something else.",
                {"service": service_id},
            ) from error
        raise TransientError(
            ErrorCode.UNAVAILABLE,
            f"Read {service_id} again and decide anew: somebody else changed it meanwhile.",
            {"service": service_id, STALE: True},
            retry_after=0.0,
        ) from error
