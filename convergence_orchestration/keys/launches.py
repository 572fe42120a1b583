"""How the runs about keys are launched: names of jobs and ops, and the config that each op takes.

What belongs here: what the API and `jobs.py` have to agree on. No key is ever in a config: Dagster keeps them.
"""

from datetime import datetime

from convergence_orchestration.keys.issuing import NewKey
from convergence_orchestration.keys.rotating import Rotation

ISSUE_JOB, ISSUE_OP = "issue_tenant_key", "issue_key"
ROTATE_JOB, ROTATE_OP = "rotate_tenant_key", "rotate_key"
REVOKE_JOB, REVOKE_OP = "revoke_tenant_key", "revoke_key"
REVOKE_ALL_JOB, REVOKE_ALL_OP = "revoke_tenant_keys", "revoke_keys_of_tenant"


def issue_config(asked: NewKey) -> dict[str, object]:
    """The config of ISSUE_OP."""
    return {
        "tenant_id": asked.tenant_id,
        "key_id": asked.key_id,
        "description": asked.description,
        "scopes": [str(scope) for scope in asked.scopes],
        "expires_at": _time(asked.expires_at),
        "repeatable": asked.is_repeatable,
    }


def rotate_config(asked: Rotation) -> dict[str, object]:
    """The config of ROTATE_OP."""
    config: dict[str, object] = {
        "key_id": asked.key_id,
        "new_key_id": asked.new_key_id,
        "grace_seconds": int(asked.grace.total_seconds()),
        "expires_at": _time(asked.expires_at),
        "repeatable": asked.is_repeatable,
    }
    if asked.description is not None:
        config["description"] = asked.description
    if asked.scopes is not None:
        config["scopes"] = [str(scope) for scope in asked.scopes]
    return config


def _time(instant: datetime | None) -> str:
    return instant.isoformat() if instant else ""
