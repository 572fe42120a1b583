"""What administrators get of the audit log, as pydantic models: the API's contract."""

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, Field


class AuditRowFacts(BaseModel):
    """One row."""

    event_id: Annotated[
        str, Field(description="The row's id: its writer and its place in the writer's chain.")
    ]
    recorded_at: Annotated[datetime, Field(description="When it happened, UTC.")]
    action: Annotated[str, Field(examples=["tenant.create"])]
    actor_kind: Annotated[str, Field(description="ADMIN_KEY, TENANT_KEY, OPERATOR or SYSTEM.")]
    actor: Annotated[
        str | None, Field(description="An administrator's name, `dagster-ui`, a schedule; never a key.")
    ]
    target_kind: Annotated[str | None, Field(description="What it was done to.", examples=["tenant"])]
    target_id: str | None
    tenant_id: str | None
    outcome: Annotated[
        str, Field(description="ATTEMPTED was written before it began; the outcome is a row of its own.")
    ]
    error_code: str | None
    method: str | None
    path: str | None
    status_code: int | None
    source_address: str | None
    details: Annotated[str | None, Field(description="Further facts, a JSON object as text.")]
    environment: str
    request_id: Annotated[str | None, Field(description="X-Request-ID of the call.")]
    run_id: Annotated[str | None, Field(description="The Dagster run.")]
    writer_id: Annotated[str, Field(description="The process that wrote it.")]
    sequence: Annotated[int, Field(description="Its place in the writer's chain, counted from 1.")]
    row_hash: Annotated[str, Field(description="SHA-256 that the next row of the writer names.")]


class AuditPage(BaseModel):
    """Rows, the newest first."""

    rows: list[AuditRowFacts]
    next_before: Annotated[
        str | None, Field(description="Give it as `before` for older rows; null at the end.")
    ]
