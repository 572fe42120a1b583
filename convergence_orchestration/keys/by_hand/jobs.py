"""What the launchpad asks for when a key is issued, rotated or revoked.

What belongs here: the configs of the ops in `keys/jobs.py`, each field with what it takes.
"""

import dagster as dg
from pydantic import Field

from convergence_orchestration.keys.model import ALL_SCOPES, MAX_KEY_DESCRIPTION_LENGTH

_LEAVE_EMPTY = (
    "Leave it empty: it is made from the run, so that a re-execution issues the same key, not another."
)
_LEAVE_OFF = "Leave it off: on, the sealed copy stays for ten minutes for the Idempotency-Key that a call of the API came with."


class IssueConfig(dg.Config):
    """What the launchpad asks for."""

    tenant_id: str = Field(description="Whose key it is, for example `acmecorp`; an active tenant.")
    description: str = Field(
        default="",
        description=f"What the key is for, for example `nightly import`; at most {MAX_KEY_DESCRIPTION_LENGTH} characters.",
    )
    scopes: list[str] = Field(
        default=[str(scope) for scope in ALL_SCOPES],
        description=f"What the key may be used for: any of {', '.join(ALL_SCOPES)}. None named means all.",
    )
    expires_at: str = Field(
        default="",
        description="When it ends, in ISO 8601 with its offset, for example `2030-01-31T00:00:00Z`; empty: never.",
    )
    key_id: str = Field(default="", description=_LEAVE_EMPTY)
    repeatable: bool = Field(default=False, description=_LEAVE_OFF)


class RevokeConfig(dg.Config):
    """What the launchpad asks for."""

    key: str = Field(
        description="The key's id (`key_` and 20 letters and digits) or its SHA-256 in hexadecimal; never the key itself, "
        "for Dagster keeps what is written here."
    )
    reason: str = Field(default="", description="Why, for the ledger, for example `laptop lost`.")


class RotateConfig(dg.Config):
    """What the launchpad asks for."""

    key_id: str = Field(description="The key to replace: its id, `key_` and 20 letters and digits.")
    grace_seconds: int = Field(
        description="How long the old key still works, for example `86400` for a day; `0` ends it at once."
    )
    description: str | None = Field(
        default=None,
        description=f"What the new key is for, at most {MAX_KEY_DESCRIPTION_LENGTH} characters; left out: as the old one.",
    )
    scopes: list[str] | None = Field(
        default=None,
        description=f"What the new key may be used for: any of {', '.join(ALL_SCOPES)}; left out: as the old one.",
    )
    expires_at: str = Field(
        default="",
        description="When the new key ends, in ISO 8601 with its offset, for example `2030-01-31T00:00:00Z`; empty: never.",
    )
    new_key_id: str = Field(default="", description=_LEAVE_EMPTY)
    repeatable: bool = Field(default=False, description=_LEAVE_OFF)


class RevokeAllConfig(dg.Config):
    """What the launchpad asks for."""

    tenant_id: str = Field(description="Whose keys are revoked, for example `acmecorp`.")
    reason: str = Field(default="", description="Why, for the ledger, for example `laptop lost`.")
