"""Which revision a suite asks, with which key, and what its result means for a release.

What belongs here: reading the service and the log of releases, and appending the suite's result. The check-list, for which
the result counts, is `releases/checklist.py`.
"""

from dataclasses import dataclass

from pydantic import SecretStr

from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.gcp.clients import run_clients, secret_manager_client
from convergence_orchestration.gcp.run import CloudRun
from convergence_orchestration.gcp.secrets import Secrets
from convergence_orchestration.keys import admin
from convergence_orchestration.releases.checklist.gate import suite_event
from convergence_orchestration.releases.model import RevisionName, parse_release_id
from convergence_orchestration.releases.order import Order, progress_of
from convergence_orchestration.releases.placing import tag_uri
from convergence_orchestration.releases.site import Site
from convergence_orchestration.releases.specification import specification_of
from convergence_orchestration.settings import Settings
from convergence_orchestration.suites.model import SuiteReport, Target
from convergence_orchestration.suites.running import SuiteName


@dataclass(frozen=True)
class Tested:
    """The revision under test: `release_id` and `image` are None where whatever serves is asked."""

    revision: str
    url: str
    release_id: str | None = None
    image: str | None = None

    def target(self, admin_key: SecretStr | None, authority_file: str | None) -> Target:
        """It as a suite's target."""
        return Target(self.url, admin_key, authority_file)


def found(site: Site, release: str) -> Tested:
    """The release's revision on its tag, or the service as it serves if no release is named.

    Raises:
        PermanentError: NOT_FOUND if there is no such release or service; FAILED_PRECONDITION if no tag leads to it.
    """
    if release:
        return _of_release(site, release)
    return Tested(site.service, served_address(site.settings))


def administrators_key(settings: Settings) -> SecretStr:
    """The administrators' key of the settings' environment, from Secret Manager unless ADMIN_API_KEY is set.

    Raises:
        PermanentError: NOT_FOUND if there is none.
    """
    if settings.admin_api_key is not None:
        return settings.admin_api_key
    client = secret_manager_client(settings)
    try:
        return admin.read(settings, Secrets(client, settings.gcp_project_id)).key
    finally:
        client.transport.close()  # type: ignore[no-untyped-call]


def record(site: Site, tested: Tested, name: SuiteName, report: SuiteReport, actor: str, run_id: str) -> None:
    """Write down for the release's image that the staging suite ran in this environment."""
    if tested.release_id is None or tested.image is None or name is not SuiteName.STAGING:
        return
    order = Order(
        parse_release_id(tested.release_id), site.environment, site.service, actor=actor, run_id=run_id
    )
    failed = len(report.failures)
    site.events.append(suite_event(order, site.clock(), tested.image, len(report.results) - failed, failed))


def _of_release(site: Site, release: str) -> Tested:
    release_id = parse_release_id(release)
    progress = progress_of(site.events.of_release(site.environment, site.service, release_id))
    if progress.revision is None or progress.image is None:
        raise PermanentError(
            ErrorCode.NOT_FOUND,
            f"Deploy release {release_id} to {site.environment} first: it has no revision to test.",
        )
    state = site.read(RevisionName(progress.revision))
    uri = tag_uri(state, progress.revision) if state is not None else ""
    if not uri:
        raise PermanentError(
            ErrorCode.FAILED_PRECONDITION,
            f"Release {release_id} again under another name: no tag leads to its revision any more.",
        )
    return Tested(progress.revision, uri, release_id, progress.image)


def served_address(settings: Settings) -> str:
    """The address at which Cloud Run serves the settings' environment, without a slash at its end.

    Raises:
        PermanentError: NOT_FOUND if nothing was deployed there.
    """
    service = specification_of(settings.environment).service
    run = CloudRun(*run_clients(settings), settings.gcp_project_id, settings.run_region)
    try:
        found = run.find_service(service)
    finally:
        run.close()
    if found is None:
        raise _not_deployed(service, settings.environment)
    return found.uri.rstrip("/")


def _not_deployed(service: str, environment: str) -> PermanentError:
    return PermanentError(
        ErrorCode.NOT_FOUND, f"Deploy {service} first: there is no such service in {environment}."
    )
