"""What administrators send and get about tenants' keys, as pydantic models: a part of the API's contract.

What belongs here: fields, their meaning and their examples. What a value must look like is decided by `keys/model.py`.
"""

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StrictInt, StrictStr

from convergence_orchestration.api.bodies import (
    Accepted,
    KeyIdField,
    Sent,
    TenantIdField,
)
from convergence_orchestration.keys.model import MAX_KEY_DESCRIPTION_LENGTH, Scope
from convergence_orchestration.keys.states import KeyState


class KeyWanted(Sent):
    """A key to issue."""

    tenant_id: Annotated[StrictStr, Field(description="An ACTIVE tenant.")]
    description: Annotated[StrictStr, Field(max_length=MAX_KEY_DESCRIPTION_LENGTH)] = ""
    scopes: Annotated[
        list[StrictStr] | None, Field(description=f"Some of {', '.join(Scope)}; all if left out.")
    ] = None
    expires_at: Annotated[
        StrictStr | None, Field(description="ISO 8601 with its offset, in the future; never if left out.")
    ] = None

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"tenant_id": "acmecorp", "description": "nightly import"}]}
    )


class RotationWanted(Sent):
    """A key to replace by a new one; what is left out, the new one has from the old one, but not its end."""

    grace_seconds: Annotated[
        StrictInt, Field(description="How long the old key still works; 0 ends it at once.", examples=[86400])
    ]
    description: Annotated[StrictStr | None, Field(max_length=MAX_KEY_DESCRIPTION_LENGTH)] = None
    scopes: Annotated[list[StrictStr] | None, Field(description=f"Some of {', '.join(Scope)}.")] = None
    expires_at: Annotated[
        StrictStr | None, Field(description="ISO 8601 with its offset, in the future; never if left out.")
    ] = None


class KeyDelivered(BaseModel):
    """A key, shown this once; to its Idempotency-Key again for ten minutes."""

    api_key: str = Field(description="The key itself: keep it now, it is never shown again.")
    key_id: KeyIdField
    tenant_api_key_hash: str = Field(
        description="SHA-256 of the key in hexadecimal, which is all that is kept."
    )
    tenant_id: TenantIdField
    scopes: list[Scope]
    created_at: datetime
    expires_at: datetime | None
    description: str
    run_id: str | None = Field(description="The Dagster run that issued it.")
    run_url: str | None


class KeyRotated(KeyDelivered):
    """The new key, shown this once, and when the old one ends."""

    old_key_id: KeyIdField
    old_key_ends_at: datetime


class KeyAccepted(Accepted):
    """The key is being issued; POST to the Location header's path hands it over once the run has succeeded."""

    key_id: KeyIdField
    tenant_id: TenantIdField


class KeyRevoked(BaseModel):
    """The key is refused from now on."""

    key_id: KeyIdField
    tenant_id: TenantIdField
    revoked_at: datetime
    run_id: str | None = Field(description="The Dagster run that revoked it; null if it was revoked before.")
    run_url: str | None


class KeysRevoked(BaseModel):
    """Every key of the tenant is refused from now on."""

    tenant_id: TenantIdField
    revoked: list[KeyIdField] = Field(description="The keys that were accepted until now.")
    run_id: str = Field(description="The Dagster run that revoked them.")
    run_url: str


class KeyListed(BaseModel):
    """What administrators may know of a key: everything but the key."""

    key_id: KeyIdField
    tenant_id: TenantIdField
    state: KeyState
    description: str
    scopes: list[Scope]
    key_hash_prefix: str = Field(
        description="The first 8 digits of the key's SHA-256.", examples=["9f86d081"]
    )
    issued_at: datetime
    issued_by: str
    delivered_at: datetime | None = Field(description="When it was first handed over.")
    last_used_at: datetime | None = Field(
        description="The minute in which it was last used, known a minute later; null for never."
    )
    expires_at: datetime | None
    ends_at: datetime | None = Field(description="When it ends or ended, whatever ends it; null for never.")
    revoked_at: datetime | None
    rotated_at: datetime | None
    successor_key_id: str | None = Field(description="The key that replaces it.")
    run_id: str | None = Field(description="The Dagster run that issued it.")
    run_url: str | None


class KeyPage(BaseModel):
    """Keys, the newest first."""

    keys: list[KeyListed]
    next_before: str | None = Field(
        description="What to send as `before` for the next page; null at the end."
    )
