"""One release from its order to the rollout: check-list, image, revision, smoke suite, hand-over.

What belongs here: the steps, each of which looks first at what is there already: killed anywhere and begun again there is one
image and one revision. What Dagster shows of them is jobs.py.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from convergence_orchestration.errors import ConvergenceError, ErrorCode, PermanentError
from convergence_orchestration.gcp.build import BuiltImage, Wanted
from convergence_orchestration.logs import logger
from convergence_orchestration.releases.checklist.gate import LastBackup, pass_gate
from convergence_orchestration.releases.checklist.items import Item
from convergence_orchestration.releases.model import NONE, EventKind, ReleaseEvent, RevisionName
from convergence_orchestration.releases.order import Order, Progress, check_same_release, progress_of
from convergence_orchestration.releases.revisions import Deployed, ensure_revision, withdraw
from convergence_orchestration.releases.site import Site
from convergence_orchestration.releases.smoke import SmokeResult, smoke
from convergence_orchestration.releases.template import revision_template

_log = logger(__name__)


@dataclass(frozen=True)
class Deployment:
    """One order at one site."""

    site: Site
    order: Order
    last_backup: LastBackup

    def begin(self) -> tuple[Item, ...]:
        """Write down that it begins, and check what does not depend on the image; the items that are met.

        Raises:
            PermanentError: ALREADY_EXISTS if the name stands for another release; otherwise as `pass_gate`.
        """
        site, order = self.site, self.order
        progress = self.progress()
        if progress.started is not None:
            check_same_release(order, progress.started)
        else:
            asked = {"source": order.source, "image": order.image, "overrides": dict(order.overrides)}
            words = order.description or "Somebody wants it released."
            site.events.append(
                order.event(
                    EventKind.STARTED, site.clock(), reason=words, evidence=asked, image=order.image or None
                )
            )
        if progress.handed_over is not None:
            return ()
        return pass_gate(site, order, order.image or None, self.last_backup)

    def image(self) -> BuiltImage:
        """The image, built if the order names sources; then the items of the check-list that are about it are checked.

        Raises:
            PermanentError: FAILED_PRECONDITION for sources that cannot be built; otherwise as `pass_gate`.
        """
        known = self.progress()
        if known.image is not None:
            found = BuiltImage(known.image, "", "")
        elif self.order.image:
            found = BuiltImage(self.order.image, "", "")
        else:
            found = self.site.build.ensure_image(self._wanted())
        if known.image is None:
            self._happened(EventKind.BUILT, image=found.reference, reason=found.build_id and "Built.")
        if not self.order.image and known.handed_over is None:
            pass_gate(self.site, self.order, found.reference, self.last_backup)
        return found

    def revision(self, image: str) -> Deployed:
        """The revision of this image, on its tag, really ready and without traffic (but for a first deployment's).

        Raises:
            PermanentError: FAILED_PRECONDITION if it can never serve.
        """
        site, order = self.site, self.order
        events = site.events.of_service(site.environment, site.service)
        template = revision_template(site.specification, site.settings, image, order.release_id)
        own = RevisionName(template.revision)
        with self._named(own):
            others = [event for event in events if event.release_id != order.release_id]
            deployed = ensure_revision(site, template, others)
        self._happened(EventKind.DEPLOYED, image=image, revision=own, stable=deployed.stable)
        return deployed

    def smoke(self, deployed: Deployed, image: str) -> tuple[SmokeResult, ...]:
        """The smoke suite on the tag; passed, the release is the rollout's.

        Raises:
            PermanentError: FAILED_PRECONDITION, with what failed; the tag is taken away again then.
        """
        results = smoke(self.site.http, deployed.uri, self.site.environment, self.site.smoke_seconds)
        failed = [result for result in results if not result.passed]
        if failed:
            withdraw(self.site, deployed.revision)
            words = " ".join(f"{result.name}: {result.detail}" for result in failed)
            raise PermanentError(
                ErrorCode.FAILED_PRECONDITION,
                f"Mend the image and release under another name: {deployed.revision} fails its smoke suite, and traffic is as "
                f"it was. {words}",
                {"revision": deployed.revision, "failed": [result.name for result in failed]},
            )
        self._happened(EventKind.HANDED_OVER, image=image, revision=deployed.revision, stable=deployed.stable)
        return results

    def progress(self) -> Progress:
        """How far it has come."""
        return progress_of(
            self.site.events.of_release(self.order.environment, self.order.service, self.order.release_id)
        )

    def fail(self, error: ConvergenceError) -> None:
        """Write down that it ended; what keeps it from that must not hide the error itself."""
        revision = error.details.get("revision")
        event = self.order.event(
            EventKind.FAILED,
            self.site.clock(),
            reason=error.message,
            revision=RevisionName(str(revision)) if revision else None,
            evidence={"code": error.code.value},
        )
        try:
            self.site.events.append(event)
        except ConvergenceError as failure:
            _log.error("The end of a release could not be recorded.", reason=failure.message)

    def _happened(
        self,
        kind: EventKind,
        *,
        image: str,
        reason: str = "",
        revision: RevisionName | None = None,
        stable: RevisionName | None = None,
    ) -> ReleaseEvent:
        event = self.order.event(
            kind,
            self.site.clock(),
            revision or "",
            image=image,
            reason=reason,
            revision=revision,
            stable_revision=stable,
            traffic_percent=NONE if revision is not None else None,
        )
        self.site.events.append(event)
        return event

    def _wanted(self) -> Wanted:
        site, order = self.site, self.order
        settings = site.settings
        repository = site.specification.image_repository or (
            f"{settings.run_region}-docker.pkg.dev/{settings.gcp_project_id}/convergence/convergence-api"
        )
        whose = hashlib.sha256(order.service.encode()).hexdigest()[:8]
        key = f"{settings.environment.short}-{order.release_id}-{whose}"  # a tag has at most 128 characters
        return Wanted(key, order.source, f"{repository}:{key}")

    @contextmanager
    def _named(self, revision: RevisionName) -> Iterator[None]:
        """Have an error say which revision it is about: placing.py looks for that in the events."""
        try:
            yield
        except PermanentError as error:
            error.details.setdefault("revision", revision)
            raise
