"""What a Dagster run says of itself in the log: who started it, what it is about, how it ended.

What belongs here: pure functions over tags and config. Writing is `resources.py`.
"""

import re
from collections.abc import Iterator, Mapping

from convergence_orchestration.audit.model import Actor, ActorKind, AuditEntry, Outcome, Target
from convergence_orchestration.errors import ErrorCode

ACTOR_TAG = "convergence/actor"
REQUEST_TAG = "convergence/request_id"
TENANT_TAG = "convergence/tenant_id"
BY_HAND = "dagster-ui"

BEFORE_THE_LOG = frozenset({"bootstrap", "prepare_environment", "deploy_service", "doctor", "__ASSET_JOB"})
"""Jobs that may run while there is no log yet, for they make what it stands on; their rows come when it is there.

`deploy_service` is one because the guide deploys the API first, which is then asked to bootstrap; `doctor` because it
changes nothing and is wanted when nothing works."""

_BY_THEMSELVES = ("dagster/schedule_name", "dagster/sensor_name")
_IDS = {  # what of a config may be shown, by its form alone: a field may hold anything, a key for example
    "tenant_id": re.compile(r"[a-z][a-z0-9_]{2,49}"),
    "key_id": re.compile(r"key_[0-9A-Za-z]{20}"),
    "key": re.compile(r"key_[0-9A-Za-z]{20}"),
}


def actor_of(tags: Mapping[str, str]) -> Actor:
    """Who started the run: a schedule or sensor; or whom its tag names, which whoever launches a run may choose."""
    for tag in _BY_THEMSELVES:
        if tag in tags:
            return Actor(ActorKind.SYSTEM, tags[tag])
    return Actor(ActorKind.OPERATOR, tags.get(ACTOR_TAG) or BY_HAND)


def entry_of(
    run_id: str,
    job: str,
    tags: Mapping[str, str],
    config: object,
    outcome: Outcome,
    error: ErrorCode | None = None,
) -> AuditEntry:
    """The row about a run of `job` with this run config; action `run.<job>`."""
    found = dict(_ids_in(config))
    tenant_id = tags.get(TENANT_TAG) or tags.get("dagster/partition") or found.get("tenant_id", "")
    key_id = found.get("key_id") or found.get("key")
    return AuditEntry(
        action="run.assets" if job == "__ASSET_JOB" else f"run.{job}",
        actor=actor_of(tags),
        outcome=outcome,
        target=Target("key", key_id) if key_id else Target("job", job),
        tenant_id=tenant_id if _IDS["tenant_id"].fullmatch(tenant_id) else None,
        error_code=error,
        request_id=tags.get(REQUEST_TAG) or None,
        run_id=run_id,
    )


def _ids_in(config: object) -> Iterator[tuple[str, str]]:
    """The ids in a run config, which may be wrong in any way."""
    ops = config.get("ops") if isinstance(config, Mapping) else None
    for op in ops.values() if isinstance(ops, Mapping) else ():
        fields = op.get("config") if isinstance(op, Mapping) else None
        for name, value in fields.items() if isinstance(fields, Mapping) else ():
            if name in _IDS and isinstance(value, str) and _IDS[name].fullmatch(value):
                yield name, value
