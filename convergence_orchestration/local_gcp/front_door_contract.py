"""What Cloud Run's node and the front door tell each other, through two files of the data directory.

What belongs here: the two documents, their names, reading and writing them atomically, and the host names of services.
`front_door.json` is the node's: what shall be served. `front_door_status.json` is the front door's: which version of it
is served, and how busy the revisions are. Each is written beside and renamed, so a reader sees all of one version; each
side can die and start again at any moment and goes on from what the files say.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

ROUTES_FILE = "front_door.json"
STATUS_FILE = "front_door_status.json"
_TAG_SEPARATOR = "---"


@dataclass(frozen=True)
class RoutedInstance:
    """A process that answers HTTP/1.1 without TLS."""

    host: str
    port: int


@dataclass(frozen=True)
class RoutedRevision:
    """A revision that requests may go to.

    Attributes:
        name: short, such as `convergence-api-00003-abc`.
        tags: each is a host of its own that reaches this revision alone, whatever its percent.
        percent: share of the requests to the service's own host, 0 to 100.
        timeout_seconds: a request that takes longer gets 504.
        max_concurrency: requests under way at once in one instance; more have to wait or get 429.
        instances: those that are ready; none at all: requests get 503.
    """

    name: str
    tags: tuple[str, ...]
    percent: int
    timeout_seconds: float
    max_concurrency: int
    instances: tuple[RoutedInstance, ...]


@dataclass(frozen=True)
class RoutedService:
    """A service, by its short name, and its revisions with a tag or a share; the shares sum to 100, or to 0 at first."""

    project: str
    location: str
    name: str
    revisions: tuple[RoutedRevision, ...]


@dataclass(frozen=True)
class Routes:
    """All that shall be served. The version grows with each change and never falls; 0 is nothing yet."""

    version: int = 0
    services: tuple[RoutedService, ...] = ()


@dataclass(frozen=True)
class FrontDoorStatus:
    """What is served.

    Attributes:
        version: of the routes that every new request follows now.
        in_flight: requests under way by revision (short name), on average over the last seconds; a revision that is
            not named is not known. Written again at most once a second while only this changes.
        refused: why newer routes than these are not served, if there are such: they are malformed, or Envoy refuses them.
    """

    version: int = 0
    in_flight: Mapping[str, float] = field(default_factory=dict)
    refused: str | None = None


def host_of(service: str, tag: str | None = None) -> str:
    """The host of a service, or of one of its tags, without a port: `blue---convergence-api.localhost`."""
    return f"{tag}{_TAG_SEPARATOR}{service}.localhost" if tag else f"{service}.localhost"


def read_routes(data_dir: Path) -> Routes:
    """The routes as last written; those of version 0 if there are none."""
    content = _read(data_dir / ROUTES_FILE)
    services = tuple(_service(service) for service in content.get("services", ()))
    return Routes(content.get("version", 0), services)


def write_routes(data_dir: Path, routes: Routes) -> None:
    """Put the routes in place of those before."""
    _write(data_dir / ROUTES_FILE, asdict(routes))


def read_status(data_dir: Path) -> FrontDoorStatus:
    """What the front door last said; version 0 if it has said nothing."""
    content = _read(data_dir / STATUS_FILE)
    return FrontDoorStatus(content.get("version", 0), content.get("in_flight", {}), content.get("refused"))


def write_status(data_dir: Path, status: FrontDoorStatus) -> None:
    """Put the status in place of the one before."""
    _write(data_dir / STATUS_FILE, asdict(status))


def _service(content: Mapping[str, Any]) -> RoutedService:
    revisions = tuple(_revision(revision) for revision in content["revisions"])
    return RoutedService(content["project"], content["location"], content["name"], revisions)


def _revision(content: Mapping[str, Any]) -> RoutedRevision:
    instances = tuple(RoutedInstance(**instance) for instance in content["instances"])
    return RoutedRevision(**{**content, "tags": tuple(content["tags"]), "instances": instances})


def _read(path: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    return content


def _write(path: Path, content: object) -> None:
    # No fsync: after the machine's own death the processes named here are gone anyway.
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    unfinished.write_text(json.dumps(content, indent=1), encoding="utf-8")
    unfinished.replace(path)
