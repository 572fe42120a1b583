"""Whether the routes that the node wrote can be served at all.

What belongs here: reading and refusing them with a sentence. What only Envoy can tell, such as a host that is no address,
is left to Envoy.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.local_gcp.front_door_contract import (
    ROUTES_FILE,
    RoutedRevision,
    RoutedService,
    Routes,
    read_routes,
)

_NAME = re.compile(r"[a-z][a-z0-9-]{0,62}")
_ALL = 100
_MAX_SECONDS = 3600
_MAX_PORT = 65535


def read_valid_routes(directory: Path) -> Routes:
    """The routes of the file in this directory; those of version 0 if there is none.

    Raises:
        PermanentError: INVALID_ARGUMENT, the file is torn, malformed, or asks for what cannot be.
    """
    try:
        routes = read_routes(directory)
        faults = list(_faults(routes))
    except (ValueError, TypeError, KeyError, AttributeError, OSError) as error:
        raise _refused(f"it is no document of routes ({type(error).__name__})") from None
    if faults:
        raise _refused(faults[0])
    return routes


def _refused(reason: str) -> PermanentError:
    message = f"Write {ROUTES_FILE} anew: {reason}."
    return PermanentError(ErrorCode.INVALID_ARGUMENT, message)


def _faults(routes: Routes) -> Iterator[str]:
    if not isinstance(routes.version, int) or routes.version < 0:
        yield "its version is not a whole number"
    services = [service.name for service in routes.services]
    revisions = [revision.name for service in routes.services for revision in service.revisions]
    if len(set(services)) < len(services) or len(set(revisions)) < len(revisions):
        yield "two services or two revisions have one name"
    for service in routes.services:
        yield from _faults_of_service(service)


def _faults_of_service(service: RoutedService) -> Iterator[str]:
    if not _NAME.fullmatch(service.name):
        yield f"{service.name!r} is no name of a service"
    shares = sum(revision.percent for revision in service.revisions)
    if shares not in {0, _ALL}:
        yield f"the shares of {service.name} sum to {shares}"
    tags = [tag for revision in service.revisions for tag in revision.tags]
    if len(set(tags)) < len(tags) or not all(_NAME.fullmatch(tag) for tag in tags):
        yield f"a tag of {service.name} is used twice or is no tag"
    for revision in service.revisions:
        yield from _faults_of_revision(revision)


def _faults_of_revision(revision: RoutedRevision) -> Iterator[str]:
    if not _NAME.fullmatch(revision.name):
        yield f"{revision.name!r} is no name of a revision"
    if not isinstance(revision.percent, int) or not 0 <= revision.percent <= _ALL:
        yield f"the share of {revision.name} is no whole number of percent"
    if not 0 < revision.timeout_seconds <= _MAX_SECONDS:
        yield f"the timeout of {revision.name} is not within an hour"
    if not isinstance(revision.max_concurrency, int) or revision.max_concurrency < 1:
        yield f"the concurrency of {revision.name} is below 1"
    if not all(0 < instance.port <= _MAX_PORT for instance in revision.instances):
        yield f"an instance of {revision.name} has no port"
