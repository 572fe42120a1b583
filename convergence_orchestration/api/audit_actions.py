"""What the audit log calls each administrators' call, and what the call is about: the one table.

What belongs here: names by the route's own name, which a test compares with the application, and which id of a path or of
an answer may be written down. What is no id by its form is not: a caller may have put a key there.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from convergence_orchestration.api.context import loggable_path
from convergence_orchestration.audit.model import Target
from convergence_orchestration.tenancy.model import TENANT_ID_PATTERN

MOST_READ = 65_536
"""Bytes of a body or an answer in which ids are looked for; a batch of tenants is longer and has none of its own."""


@dataclass(frozen=True)
class Action:
    """A call's name in the log, what kind of thing it is about, and the name of that thing's id in paths and answers."""

    name: str
    target: str | None = None
    id: str | None = None


ACTIONS: Mapping[str, Action] = {
    "bootstrap": Action("bootstrap", "dataset"),
    "create_tenant": Action("tenant.create", "tenant", "tenant_id"),
    "list_tenants": Action("tenant.list"),
    "get_tenant": Action("tenant.read", "tenant", "tenant_id"),
    "change_plan": Action("tenant.change_plan", "tenant", "tenant_id"),
    "suspend": Action("tenant.suspend", "tenant", "tenant_id"),
    "resume": Action("tenant.resume", "tenant", "tenant_id"),
    "offboard": Action("tenant.offboard", "tenant", "tenant_id"),
    "create_tenants": Action("batch.create", "batch", "batch_id"),
    "get_batch": Action("batch.read", "batch", "batch_id"),
    "list_requests": Action("request.list"),
    "get_tenant_request": Action("request.read", "request", "request_id"),
    "create_key": Action("key.issue", "key", "key_id"),
    "reveal_key": Action("key.reveal", "key", "key_id"),
    "list_keys": Action("key.list"),
    "get_key": Action("key.read", "key", "key_id"),
    "rotate_key": Action("key.rotate", "key", "key_id"),
    "revoke_keys": Action("key.revoke_all", "tenant", "tenant_id"),
    "revoke_key": Action("key.revoke", "key", "key_id"),
    "list_audit": Action("audit.list"),
}

BOOTSTRAP = "bootstrap"
"""The route that is let through while there is no log yet."""

_PLAIN = re.compile(
    r"[a-z0-9_:-]{0,50}|key_[0-9A-Za-z]{20}|[^.]{1,10}\.\.\."
)  # the last is what was cut before
_SHOWN = 8

_FORMS: Mapping[str, re.Pattern[str]] = {
    "tenant_id": re.compile(TENANT_ID_PATTERN),
    "key_id": re.compile(r"key_[0-9A-Za-z]{20}"),
    "request_id": re.compile(r"req_[0-9a-z]{26}"),
    "batch_id": re.compile(r"bat_[0-9a-z]{26}"),
    "run_id": re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"),
}


def action_of(route_name: str) -> Action:
    """The route's action; the route's own name for one that the table does not have."""
    return ACTIONS.get(route_name, Action(route_name))


def shown_path(path: str) -> str:
    """The path with each segment cut that is neither a word of ours nor an id: it may be a key, however mistyped."""
    segments = loggable_path(path).split("/")
    return "/".join(each if _is_plain(each) else f"{each[:_SHOWN]}..." for each in segments)


def _is_plain(segment: str) -> bool:
    return _PLAIN.fullmatch(segment) is not None


def ids_in_path(parameters: Mapping[str, Any]) -> dict[str, str]:
    """The ids among a path's parameters; a key's may be called `key`."""
    named = {("key_id" if name == "key" else name): value for name, value in parameters.items()}
    return _ids(named)


def ids_in_json(content: bytes) -> dict[str, str]:
    """The ids among the fields of a JSON object; none in anything else."""
    if len(content) > MOST_READ:
        return {}
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    return _ids(found) if isinstance(found, dict) else {}


def target_of(action: Action, ids: Mapping[str, str]) -> Target | None:
    """What a call with these ids is about."""
    if action.target is None:
        return None
    return Target(action.target, ids.get(action.id) if action.id else None)


def _ids(fields: Mapping[str, Any]) -> dict[str, str]:
    return {
        name: value
        for name, value in fields.items()
        if name in _FORMS and isinstance(value, str) and _FORMS[name].fullmatch(value)
    }
