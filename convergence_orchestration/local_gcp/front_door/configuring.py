"""Getting Envoy from one set of routes to the next without a lost request.

What belongs here: the order of the steps, each of which waits until Envoy has taken the one before: clusters of both sets,
then the split, then the clusters of the new set alone. A step that Envoy refuses brings the former files back. Killed
anywhere, the same call again continues.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from convergence_orchestration.errors import ErrorCode, PermanentError, TransientError
from convergence_orchestration.local_gcp.front_door import rendering
from convergence_orchestration.local_gcp.front_door.admin import EnvoyAdmin, Subscription
from convergence_orchestration.local_gcp.front_door.directory import Directory, write_json
from convergence_orchestration.local_gcp.front_door.rendering import Resources
from convergence_orchestration.local_gcp.front_door_contract import Routes

_PATIENCE_SECONDS = 5.0
_POLL_SECONDS = 0.003


@dataclass(frozen=True)
class Step:
    """One of Envoy's files in a new version."""

    subscription: Subscription
    resources: Resources


def steps(before: Routes, after: Routes, default: str = "") -> list[Step]:
    """What Envoy has to take one after the other."""
    return [
        Step(Subscription.CLUSTERS, rendering.clusters(rendering.both(before, after))),
        Step(Subscription.ROUTES, rendering.route_table(after, default)),
        Step(Subscription.CLUSTERS, rendering.clusters(after)),
    ]


class Configuration:
    """Envoy's changing files."""

    def __init__(
        self,
        directory: Directory,
        admin: EnvoyAdmin,
        last_words: Callable[[], str],
        patience: float = _PATIENCE_SECONDS,
        default: str = "",
    ) -> None:
        self._default = default
        self._admin = admin
        self._last_words = last_words
        self._patience = patience
        self._paths: dict[Subscription, Path] = {
            Subscription.CLUSTERS: directory.clusters,
            Subscription.ROUTES: directory.routes,
        }

    def write(self, routes: Routes) -> None:
        """Write the files for an Envoy that is about to start."""
        self._put(Step(Subscription.CLUSTERS, rendering.clusters(routes)))
        self._put(Step(Subscription.ROUTES, rendering.route_table(routes, self._default)))

    def change(self, before: Routes, after: Routes, certificate: int | None) -> None:
        """Have the running Envoy serve other routes, with the certificate of that serial number; returns when it does.

        Raises:
            PermanentError: FAILED_PRECONDITION, Envoy refuses them; it serves those before, from their own files again.
            TransientError: UNAVAILABLE, Envoy does not answer; call again, or start it.
        """
        try:
            for step in steps(before, after, self._default):
                self._take(step)
            self._take_certificate(certificate)
        except PermanentError:
            self.write(before)
            raise

    def _take_certificate(self, serial: int | None) -> None:
        deadline = time.monotonic() + self._patience
        while serial is not None and not self._admin.has_certificate(serial):
            _wait_until(deadline, "certificate")

    def _take(self, step: Step) -> None:
        earlier = self._admin.taken(step.subscription)
        self._put(step)
        deadline = time.monotonic() + self._patience
        while (now := self._admin.taken(step.subscription)).version != step.resources.version:
            if now.refusals > earlier.refusals:
                message = f"Correct what Envoy refuses: {self._last_words()}"
                raise PermanentError(ErrorCode.FAILED_PRECONDITION, message)
            _wait_until(deadline, "configuration")

    def _put(self, step: Step) -> None:
        write_json(self._paths[step.subscription], step.resources.document())


def _wait_until(deadline: float, what: str) -> None:
    if time.monotonic() > deadline:
        message = f"Wait until Envoy takes its new {what}."
        raise TransientError(ErrorCode.UNAVAILABLE, message, retry_after=0.1)
    time.sleep(_POLL_SECONDS)
