"""What Envoy shall serve, from what the node asks for.

What belongs here: pure functions from the contract's routes to Envoy's resources. A revision is a cluster. The split is a
list of routes, each of which takes all requests whose one random number is below a bound; so each revision keeps its own
timeout, which Envoy's weighted clusters, sharing one route, cannot.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

from convergence_orchestration.local_gcp.front_door.bootstrap import ROUTES
from convergence_orchestration.local_gcp.front_door_contract import (
    RoutedInstance,
    RoutedRevision,
    RoutedService,
    Routes,
    host_of,
)

_NOT_FOUND = "The requested URL was not found on this server.\n"
# uvicorn closes a connection that was idle for 5 s: whoever sends on it at that moment gets a 503
_IDLE = "2s"


@dataclass(frozen=True)
class Resources:
    """One of Envoy's files; the version is the content's digest, so what did not change is not loaded again."""

    version: str
    items: tuple[dict[str, Any], ...]

    @classmethod
    def of(cls, items: Iterable[dict[str, Any]]) -> "Resources":
        """These resources under their digest."""
        content = tuple(items)
        return cls(hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16], content)

    def document(self) -> dict[str, Any]:
        """As Envoy reads it."""
        return {"version_info": self.version, "resources": list(self.items)}


def clusters(routes: Routes) -> Resources:
    """One cluster for each revision."""
    return Resources.of(_cluster(revision) for revision in _revisions(routes))


def route_table(routes: Routes, default: str = "") -> Resources:
    """The hosts of services and tags; who asks for another host gets the service `default`, or 404 below `.localhost`.

    Without a name that is the first service.
    """
    known = [host for service in routes.services for host in _hosts(service)]
    by_default = next((one for one in routes.services if default in {"", one.name}), None)
    others = _split(by_default) if by_default is not None else [_nothing()]
    known += [_host("unknown", ["*.localhost"], [_nothing()]), _host("default", ["*"], others)]
    kind = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration"
    table: dict[str, Any] = {"@type": kind, "name": ROUTES, "virtual_hosts": known}
    client = {"key": "X-Forwarded-For", "value": "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%"}
    table["request_headers_to_add"] = [{"header": client, "append_action": "APPEND_IF_EXISTS_OR_ADD"}]
    table["request_headers_to_remove"] = ["x-envoy-external-address"]
    return Resources.of([table])


def hosts(routes: Routes) -> list[str]:
    """Every host of a service or a tag."""
    return [host["name"] for service in routes.services for host in _hosts(service)]


def both(before: Routes, after: Routes) -> Routes:
    """Routes with the clusters of both, so that the split can change from one to the other without a lost request.

    A revision of both has its new instances, unless it has none any more: then the old ones answer until the split is
    changed too.
    """
    new = {revision.name: revision for revision in _revisions(after)}
    old = {revision.name: revision for revision in _revisions(before)}
    kept = [
        revision
        if revision.instances or name not in old
        else replace(revision, instances=old[name].instances)
        for name, revision in new.items()
    ]
    kept += [revision for name, revision in old.items() if name not in new]
    return Routes(after.version, (RoutedService("", "", "", tuple(kept)),))


def capacity(revision: RoutedRevision) -> int:
    """Requests under way at once that the revision's instances take together; as many more may wait."""
    return max(1, revision.max_concurrency * len(revision.instances))


def _revisions(routes: Routes) -> Iterator[RoutedRevision]:
    return chain.from_iterable(service.revisions for service in routes.services)


def _cluster(revision: RoutedRevision) -> dict[str, Any]:
    limit = capacity(revision)
    limits = {
        "max_connections": limit,
        "max_pending_requests": limit,
        "max_requests": limit,
        "max_retries": 0,
    }
    options = "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
    return {
        "@type": "type.googleapis.com/envoy.config.cluster.v3.Cluster",
        "name": revision.name,
        "type": "STATIC",
        "connect_timeout": "2s",
        "lb_policy": "LEAST_REQUEST",
        "circuit_breakers": {"thresholds": [limits]},
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": options,
                "common_http_protocol_options": {"idle_timeout": _IDLE},
                "explicit_http_config": {"http_protocol_options": {}},
            }
        },
        "load_assignment": {
            "cluster_name": revision.name,
            "endpoints": [{"lb_endpoints": [_endpoint(instance) for instance in revision.instances]}],
        },
    }


def _endpoint(instance: RoutedInstance) -> dict[str, Any]:
    address = {"address": instance.host, "port_value": instance.port}
    return {"endpoint": {"address": {"socket_address": address}}}


def _hosts(service: RoutedService) -> Iterator[dict[str, Any]]:
    yield _host(host_of(service.name), [host_of(service.name)], _split(service))
    for revision in service.revisions:
        for tag in revision.tags:
            host = host_of(service.name, tag)
            yield _host(host, [host], [_route(service, revision, 100, tag)])


def _host(name: str, domains: list[str], routes: list[dict[str, Any]]) -> dict[str, Any]:
    return {"name": name, "domains": domains, "routes": routes}


def _split(service: RoutedService) -> list[dict[str, Any]]:
    routes, bound = [], 0
    for revision in service.revisions:
        if revision.percent:
            bound += revision.percent
            routes.append(_route(service, revision, bound, None))
    return routes or [_nothing()]


def _route(service: RoutedService, revision: RoutedRevision, bound: int, tag: str | None) -> dict[str, Any]:
    facts = {"project": service.project, "location": service.location, "service": service.name}
    facts["revision"] = revision.name
    if tag is not None:
        facts["tag"] = tag
    below = {"default_value": {"numerator": bound, "denominator": "HUNDRED"}}
    return {
        "match": {"prefix": "/", "runtime_fraction": below},
        "route": {
            "cluster": revision.name,
            "timeout": f"{revision.timeout_seconds:.3f}s",
            "idle_timeout": "0s",
        },
        "metadata": {"filter_metadata": {"convergence": facts}},
    }


def _nothing() -> dict[str, Any]:
    answer = {"status": 404, "body": {"inline_string": _NOT_FOUND}}
    return {"match": {"prefix": "/"}, "direct_response": answer}
