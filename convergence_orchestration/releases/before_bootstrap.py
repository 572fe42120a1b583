"""The first release of a platform that is not bootstrapped yet: the guide deploys the API first and has it bootstrap then.

What belongs here: when a release may do without its log, and how that is said. What is logged is store.py.
"""

from dataclasses import replace

from google.cloud.bigquery import ScalarQueryParameter

from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.logs import logger
from convergence_orchestration.releases.model import ReleaseEvent, ReleaseId
from convergence_orchestration.releases.site import Site
from convergence_orchestration.releases.store import ReleaseEvents
from convergence_orchestration.releases.template import RELEASE_ANNOTATION

_log = logger(__name__)


class EventsOnceBootstrapped(ReleaseEvents):
    """The log where there is one; before that nothing is in it and nothing is written down."""

    def append(self, *events: ReleaseEvent) -> None:
        """Write down that `events` happened, if there is where."""
        try:
            super().append(*events)
        except PermanentError as error:
            _require_not_bootstrapped(error)
            _log.warning("There is no log of releases yet.", events=[event.kind.value for event in events])

    def _read(self, sql: str, *parameters: ScalarQueryParameter) -> list[ReleaseEvent]:
        try:
            return super()._read(sql, *parameters)
        except PermanentError as error:
            _require_not_bootstrapped(error)
            return []


def with_its_log(site: Site, release: ReleaseId) -> Site:
    """The site as this release may see it: the first one of a service may come before the log.

    Any later one may not, for nobody could move its traffic.
    """
    service = site.run.find_service(site.service)
    is_first = service is None or service.template.annotations.get(RELEASE_ANNOTATION) == release
    return replace(site, events=EventsOnceBootstrapped(site.events.bigquery)) if is_first else site


def _require_not_bootstrapped(error: PermanentError) -> None:
    if error.code is not ErrorCode.NOT_BOOTSTRAPPED:
        raise error
