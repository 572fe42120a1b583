"""What administrators send and get about tenants and requests, as pydantic models: the API's contract.

What belongs here: fields, their meaning and their examples. What a value must look like is decided by `tenancy/asked.py`,
so that the Dagster UI refuses the same values in the same words. Bodies that are not about tenants are in `bodies.py`.
"""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictStr

from convergence_orchestration.api.bodies import RunIdField, RunUrlField, Sent, TenantIdField
from convergence_orchestration.errors import ErrorCode
from convergence_orchestration.tenancy.asked import MAX_REASON_LENGTH, PRINCIPAL_FORM, RequestKind
from convergence_orchestration.tenancy.model import (
    MAX_COMPANY_NAME_LENGTH,
    MAX_DESCRIPTION_LENGTH,
    TENANT_ID_PATTERN,
    Plan,
    TenantState,
)
from convergence_orchestration.tenancy.request_model import BATCH_ID_PATTERN, RequestState
from convergence_orchestration.tenancy.retries import NextStep

MOST_IN_A_BATCH = 1000

RequestIdField = Annotated[
    str, Field(description="The request, for GET /admin/tenant-requests/{id}.", examples=["req_" + "a2" * 13])
]
BatchIdField = Annotated[
    str, Field(description=f"The batch, {BATCH_ID_PATTERN}.", examples=["bat_" + "a2" * 13])
]
LaunchedRunId = Annotated[
    str | None,
    Field(description="The Dagster run; null if none could be launched yet, which then happens by itself."),
]
LaunchedRunUrl = Annotated[str | None, Field(description="Where to see the run.")]
ReasonField = Annotated[
    StrictStr, Field(description=f"Why, for whoever looks later; at most {MAX_REASON_LENGTH} characters.")
]


class TenantWanted(Sent):
    """A tenant to be."""

    tenant_id: Annotated[StrictStr, Field(description=f"{TENANT_ID_PATTERN}, not reserved.")]
    description: Annotated[StrictStr, Field(description=f"At most {MAX_DESCRIPTION_LENGTH} characters.")] = ""
    company_name: Annotated[
        StrictStr, Field(description=f"At most {MAX_COMPANY_NAME_LENGTH} characters.")
    ] = ""
    admin_email: Annotated[StrictStr, Field(description="name@example.com, or empty.")] = ""
    plan: Annotated[StrictStr, Field(description=f"One of {', '.join(Plan)}.")] = Plan.STARTER.value
    principal: Annotated[
        StrictStr,
        Field(
            description=f"Who may read and write the dataset in BigQuery itself: {PRINCIPAL_FORM}; nobody if empty."
        ),
    ] = ""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "tenant_id": "acmecorp",
                    "company_name": "ACME Corporation",
                    "admin_email": "ops@acme.example",
                    "plan": "PROFESSIONAL",
                }
            ]
        }
    )


class BatchWanted(Sent):
    """Tenants to be; each is checked alone."""

    tenants: Annotated[
        list[Any],
        Field(
            min_length=1,
            max_length=MOST_IN_A_BATCH,
            json_schema_extra={"items": {"$ref": "#/components/schemas/TenantWanted"}},
        ),
    ]


class PlanWanted(Sent):
    """Another plan."""

    plan: Annotated[StrictStr, Field(description=f"One of {', '.join(Plan)}.")]

    model_config = ConfigDict(json_schema_extra={"examples": [{"plan": "SCALE"}]})


class StateWanted(Sent):
    """Why a tenant is suspended or resumed."""

    reason: ReasonField = ""


class TenantReady(BaseModel):
    """The tenant is ACTIVE."""

    tenant_id: TenantIdField
    state: Literal[TenantState.ACTIVE] = TenantState.ACTIVE
    datasets_created: int = Field(description="1: the tenant's own dataset.")
    tables_created: list[str]
    api_keys_count: int = Field(description="Keys that are accepted now; 0 until one is issued.")
    request_id: RequestIdField
    run_id: RunIdField | None
    run_url: RunUrlField | None


class TenantAccepted(BaseModel):
    """The tenant is being made; the Location header names the request to ask for."""

    tenant_id: TenantIdField
    state: Literal[TenantState.PROVISIONING] = TenantState.PROVISIONING
    request_id: RequestIdField
    run_id: LaunchedRunId
    run_url: LaunchedRunUrl
    message: str


class TenantChanged(BaseModel):
    """The tenant as it is now that the request is done."""

    tenant_id: TenantIdField
    state: TenantState
    plan: Plan
    delete_after: datetime | None = Field(description="When an OFFBOARDING tenant is deleted.")
    state_reason: str
    request_id: RequestIdField | None = Field(description="Null if nothing was left to do.")
    run_id: RunIdField | None = Field(description="Null if nothing was left to do.")
    run_url: RunUrlField | None


class ChangeAccepted(BaseModel):
    """The tenant is being changed; the Location header names the request to ask for."""

    tenant_id: TenantIdField
    state: TenantState = Field(description="As it is until the change.")
    request_id: RequestIdField
    run_id: LaunchedRunId
    run_url: LaunchedRunUrl
    message: str


class TenantFacts(BaseModel):
    """A tenant as administrators see it."""

    tenant_id: TenantIdField
    state: TenantState
    state_reason: str = Field(description="Why it is suspended or on its way out.")
    company_name: str
    description: str
    admin_email: str
    plan: Plan
    principal: str = Field(
        description="Who may read and write the dataset in BigQuery itself; empty for nobody."
    )
    dataset_id: str
    request_id: RequestIdField
    created_at: datetime
    updated_at: datetime
    delete_after: datetime | None = Field(description="When an OFFBOARDING tenant is deleted.")


class TenantPage(BaseModel):
    """Tenants ordered by id."""

    tenants: list[TenantFacts]
    next_after: str | None = Field(description="The `after` of the next page; null on the last.")


class RefusedRow(BaseModel):
    """A row of a batch for which nothing was written down."""

    index: int = Field(description="Its place in `tenants`, counted from 0.")
    tenant_id: str | None = Field(description="Null if it is not of the form of an id.")
    code: ErrorCode
    message: str


class AcceptedRow(BaseModel):
    """A row of a batch and its request."""

    index: int = Field(description="Its place in `tenants`, counted from 0.")
    tenant_id: TenantIdField
    request_id: RequestIdField


class BatchAccepted(BaseModel):
    """The rows that could be accepted are being worked on, or done; Location is where to ask how far it is."""

    batch_id: BatchIdField
    accepted: int
    refused: list[RefusedRow]
    requests: list[AcceptedRow]
    run_id: LaunchedRunId
    run_url: LaunchedRunUrl
    message: str


class NextFacts(BaseModel):
    """What the platform does next by itself."""

    step: NextStep
    sentence: str
    retry_at: datetime | None


class FailedRequest(BaseModel):
    """A request of a batch that failed."""

    tenant_id: TenantIdField
    request_id: RequestIdField
    error_code: str | None
    reason: str | None
    next: NextFacts


class BatchFacts(BaseModel):
    """How far a batch has come."""

    batch_id: BatchIdField
    total: int
    counts: dict[RequestState, int] = Field(description="Requests by state; each state is there.")
    is_finished: bool = Field(
        description="Nothing of it is open, and nothing that failed is tried again by itself."
    )
    requested_at: datetime
    updated_at: datetime
    failures: list[FailedRequest] = Field(description="The first 100.")


class TenantRequestSummary(BaseModel):
    """A request for a tenant and how far it has come."""

    request_id: RequestIdField
    tenant_id: TenantIdField
    kind: RequestKind
    state: RequestState
    attempt: int = Field(description="Counted from 1; more if it was tried again.")
    parameters: dict[str, Any] = Field(description="What was asked for.")
    actor: str = Field(description="Who asked for it.")
    batch_id: str | None
    requested_at: datetime
    updated_at: datetime
    run_id: str | None
    run_url: str | None
    reason: str | None = Field(description="Why it failed, and what to do.")
    error_code: str | None
    next: NextFacts


class RequestEventFacts(BaseModel):
    """One thing that happened to a request."""

    state: RequestState
    attempt: int
    recorded_at: datetime
    actor: str
    run_id: str | None
    run_url: str | None
    reason: str | None
    error_code: str | None
    seconds: float | None = Field(description="Since the event before; null for the first.")


class Durations(BaseModel):
    """How long a request has taken until now, in seconds."""

    waited_seconds: float = Field(description="From being asked for until its first run began with it.")
    worked_seconds: float = Field(description="In runs, all attempts together.")
    total_seconds: float = Field(description="From being asked for until its end, or until now.")


class TenantRequestFacts(TenantRequestSummary):
    """A request with everything that happened to it."""

    events: list[RequestEventFacts] = Field(description="In order.")
    durations: Durations


class TenantRequestPage(BaseModel):
    """Requests, the newest first."""

    requests: list[TenantRequestSummary]
    next_before: str | None = Field(description="The `before` of the next page; null on the last.")
