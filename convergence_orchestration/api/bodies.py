"""What callers send and what they get, as pydantic models: the API's contract, shown in its OpenAPI document.

What belongs here: fields, their meaning and their examples. What a value must look like is decided by the domains
(`parse_scopes` and its like), so that the Dagster UI refuses the same values in the same words. What is sent and
answered about tenants by administrators is in `tenant_bodies.py`, about their keys in `key_bodies.py`.
"""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictBool

from convergence_orchestration.errors import ErrorCode
from convergence_orchestration.keys.model import KEY_ID_PATTERN, Scope
from convergence_orchestration.tenancy.model import TENANT_ID_PATTERN, Plan, TenantState


class Sent(BaseModel):
    """A request body: fields that are not in it are refused."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


RunIdField = Annotated[
    str, Field(description="The Dagster run.", examples=["0b7d6a3e-7d0f-4a45-9a51-5c6bb1c1c1a4"])
]
RunUrlField = Annotated[str, Field(description="Where to see the run.")]
TenantIdField = Annotated[
    str, Field(description=f"The tenant's id, {TENANT_ID_PATTERN}, not reserved.", examples=["acmecorp"])
]
KeyIdField = Annotated[
    str, Field(description=f"The key's id, {KEY_ID_PATTERN}.", examples=["key_4eT2bUeYH9n0XJq8sVdC"])
]


class FieldProblem(BaseModel):
    """What is wrong with one field; the value is never repeated."""

    field: str
    message: str


class ErrorFacts(BaseModel):
    """An error: a word for programs, a sentence for people."""

    code: ErrorCode
    message: str
    request_id: str = Field(description="The request's id, which is in the log lines and in X-Request-ID.")
    details: list[FieldProblem] | dict[str, object] | None = Field(
        default=None, description="The fields for 422; further facts, such as run_id and run_url, for others."
    )


class ErrorBody(BaseModel):
    """Every error looks like this."""

    error: ErrorFacts

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "error": {
                    "code": "tenant_not_found",
                    "message": "Check the tenant id: there is no tenant of this id.",
                    "request_id": "9f1c7b6e2d7d4f3a8c53c0f4c7d1a2b3",
                }
            }
        }
    )


class Health(BaseModel):
    """The process answers; what it needs is told by /health/ready."""

    status: Literal["healthy"] = "healthy"
    service: str = "convergence-api"
    version: str
    environment: str


class Check(BaseModel):
    """One thing the API needs. `unknown` is as bad as `unhealthy`: nobody could look."""

    status: Literal["healthy", "unhealthy", "unknown"]
    age_seconds: float | None = Field(description="Seconds since this was found out.")
    latency_ms: float | None = Field(default=None, description="Milliseconds the look took.")
    reason: str | None = None


class Readiness(BaseModel):
    """All checks; ready if each is healthy."""

    status: Literal["ready", "not_ready"]
    checks: dict[str, Check]


class BootstrapOptions(Sent):
    """What to recreate; each is copied to a snapshot first. Nothing is recreated by default."""

    force_recreate_dataset: StrictBool = False
    force_recreate_tables: StrictBool = False


class Accepted(BaseModel):
    """The run goes on after the time the caller wanted to wait."""

    status: Literal["RUNNING"] = "RUNNING"
    run_id: RunIdField
    run_url: RunUrlField
    message: str


class Bootstrapped(BaseModel):
    """The central dataset and its tables are there."""

    status: Literal["SUCCESS"] = "SUCCESS"
    dataset_created: bool
    tables_created: list[str] = Field(description="Created or recreated by this run.")
    tables_existed: list[str]
    total_tables: int
    snapshots: dict[str, str] = Field(
        description="The snapshot of each table that was recreated, as dataset.table.", examples=[{}]
    )
    run_id: RunIdField
    run_url: RunUrlField
    message: str


class KeyFacts(BaseModel):
    """What a caller may know of its own key."""

    key_id: KeyIdField
    description: str
    scopes: list[Scope]
    expires_at: datetime | None


class OwnLimits(BaseModel):
    """What the caller's plan and this API allow."""

    requests_per_minute: int
    requests_per_hour: int
    runs_per_day: int
    concurrent_runs: int


class Me(BaseModel):
    """The caller's own tenant."""

    tenant_id: TenantIdField
    state: TenantState
    company_name: str
    description: str
    plan: Plan
    created_at: datetime
    limits: OwnLimits
    key: KeyFacts
