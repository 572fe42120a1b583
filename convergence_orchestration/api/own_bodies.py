"""What tenants send and get about their own runs, usage and tables, as pydantic models.

What belongs here: fields, their meaning and their examples, as in `bodies.py`. No body of a tenant names a tenant: who
calls is said by the key alone.
"""

from datetime import date, datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, JsonValue, StrictStr

from convergence_orchestration.api.bodies import Sent, TenantIdField
from convergence_orchestration.tenancy.model import Plan
from convergence_orchestration.tenancy.pipelines.model import PIPELINE_RUN_ID_PATTERN, Pipeline, PipelineState

PipelineRunIdField = Annotated[
    str,
    Field(
        description=f"The pipeline run's id, {PIPELINE_RUN_ID_PATTERN}.",
        examples=["run_4x7m2k5q3w6n4x7m2k5q3w6n4x"],
    ),
]


class PipelineRunWanted(Sent):
    """A pipeline run to start."""

    pipeline: Annotated[StrictStr, Field(description=f"One of {', '.join(Pipeline)}.")]
    parameters: dict[str, JsonValue] = Field(
        default_factory=dict,
        description="Of data_quality: `tables`, names of own tables (all if left out), and `max_age_hours`, after how many "
        "hours without a new row a table is stale (24).",
    )

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"pipeline": "data_quality", "parameters": {"max_age_hours": 48}}]}
    )


class RunsToday(BaseModel):
    """The day's runs, counted from midnight UTC."""

    used: int
    limit: int
    left: int
    resets_at: datetime = Field(description="The next midnight, UTC.")


class RunsAtOnce(BaseModel):
    """The runs that are live now."""

    live: int
    limit: int
    live_runs: list[str] = Field(description="Their ids.")


class Quota(BaseModel):
    """What the plan allows and what of it is used."""

    runs_today: RunsToday
    runs_at_once: RunsAtOnce


class PipelineRunFacts(BaseModel):
    """A pipeline run as its tenant sees it."""

    pipeline_run_id: PipelineRunIdField
    pipeline: Pipeline
    state: PipelineState
    parameters: dict[str, JsonValue]
    key_id: str | None = Field(description="The key that asked for it.")
    requested_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    rows_written: int
    error_code: str | None
    reason: str | None = Field(description="Why it failed, and what to do.")
    run_id: str | None = Field(description="What administrators find the run by.")


class PipelineRunAccepted(BaseModel):
    """The run is counted and will be carried out; ask for it at the path of the Location header."""

    pipeline_run_id: PipelineRunIdField
    state: PipelineState
    run_id: str = Field(description="What administrators find the run by.")
    quota: Quota


class PipelineRunPage(BaseModel):
    """Pipeline runs, the newest first."""

    pipeline_runs: list[PipelineRunFacts]
    next_before: str | None = Field(description="The `before` of the next page; null on the last.")


class DayUsed(BaseModel):
    """What was used on one day, from midnight to midnight UTC."""

    day: date
    pipeline_runs: int
    failed_runs: int
    rows_written: int


class RequestLimits(BaseModel):
    """Requests allowed; what is left is in the RateLimit headers of each answer."""

    a_minute: int
    an_hour: int


class OwnUsage(BaseModel):
    """The caller's use of its plan; days without a run are left out of `days`."""

    tenant_id: TenantIdField
    plan: Plan
    quota: Quota
    requests: RequestLimits
    days: list[DayUsed] = Field(description="The newest first.")


class OwnColumn(BaseModel):
    """A column of a table."""

    name: str
    type: str
    mode: str
    description: str


class OwnTable(BaseModel):
    """A table of the caller's own dataset."""

    name: str
    description: str
    rows: int
    columns: list[OwnColumn]


class OwnTables(BaseModel):
    """The tables of the caller's own dataset, by name."""

    dataset_id: str
    tables: list[OwnTable]
