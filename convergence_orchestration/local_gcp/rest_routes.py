"""Which method a verb and a path mean.

What belongs here: the URL rules, taken from the official clients' own REST transports (each `_Base...` class there carries
the `google.api.http` options of one method), and matching against them. Nothing is written by hand.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from convergence_orchestration.local_gcp.rpc import Method, Service

_VARIABLE = re.compile(r"\{(?P<field>[^=}]+)(?:=(?P<template>[^}]*))?\}")


@dataclass(frozen=True)
class Route:
    """One rule: its verb, its path, the field that the body fills ("*": the request), and the method if it is served."""

    verb: str
    path: re.Pattern[str]
    fields: tuple[str, ...]
    body: str | None
    method_name: str
    method: Method | None


@dataclass(frozen=True)
class Match:
    """The route of one request, and the request's fields that stood in the path."""

    route: Route
    variables: Mapping[str, str]


class Routes:
    """The rules of all services."""

    def __init__(self, services: Iterable[Service]) -> None:
        routes = [route for service in services for route in _routes(service)]
        # Transports also list methods of other services (IAM's), so a rule that is served goes first.
        self._routes = sorted(routes, key=lambda route: route.method is None)

    def match(self, verb: str, path: str) -> Match | None:
        """The first rule that fits; None if there is none."""
        for route in self._routes:
            found = route.path.fullmatch(path) if route.verb == verb else None
            if found:
                values = (unquote(value) for value in found.groups())
                return Match(route, dict(zip(route.fields, values, strict=True)))
        return None


def _routes(service: Service) -> Iterator[Route]:
    served = {method.name: method for method in service.methods()}
    for attribute, rule_class in vars(service.http_rules).items():
        name = attribute.removeprefix("_Base")
        if name != attribute and hasattr(rule_class, "_get_http_options"):
            for option in rule_class._get_http_options():  # noqa: SLF001 the clients' own rules
                yield _route(option, name, served.get(name))


def _route(option: Mapping[str, Any], name: str, method: Method | None) -> Route:
    variables = list(_VARIABLE.finditer(option["uri"]))
    return Route(
        verb=option["method"].upper(),
        path=_compiled(option["uri"], variables),
        fields=tuple(variable["field"] for variable in variables),
        body=option.get("body"),
        method_name=name,
        method=method,
    )


def _compiled(uri: str, variables: Iterable[re.Match[str]]) -> re.Pattern[str]:
    pattern, end = "", 0
    for variable in variables:
        pattern += re.escape(uri[end : variable.start()]) + f"({_segments(variable['template'] or '*')})"
        end = variable.end()
    return re.compile(pattern + re.escape(uri[end:]))


def _segments(template: str) -> str:
    # In the last segment a colon ends the resource's name and begins the custom verb (`:encrypt`).
    *first, last = template.split("/")
    return "/".join(
        [re.escape(segment).replace(r"\*", "[^/]+") for segment in first] + [last.replace("*", "[^/:]+")]
    )
