"""What a pipeline run is: its id, its states with their transitions, its events and the run they add up to.

What belongs here: types and the checks made once at the edge. No I/O.
"""

import json
import re
import secrets
from base64 import b32encode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from types import MappingProxyType
from typing import NewType

from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.tenancy.model import TenantId
from convergence_orchestration.tenancy.pipelines.parameters import DataQuality, parse_data_quality
from convergence_orchestration.tenancy.request_model import parse_idempotency_key

PipelineRunId = NewType("PipelineRunId", str)

PIPELINE_RUN_ID_PATTERN = r"^run_[a-z2-7]{26}$"
PIPELINE_JOB = "tenant_pipeline"
PIPELINE_RUN_TAG = "convergence/pipeline_run_id"
TRIGGERED_BY_API = "API"


class Pipeline(StrEnum):
    """What can be run."""

    DATA_QUALITY = "data_quality"


class PipelineState(StrEnum):
    """How far a pipeline run has come."""

    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"

    @property
    def is_final(self) -> bool:
        """Nothing comes after it."""
        return not PIPELINE_TRANSITIONS[self]


PIPELINE_TRANSITIONS: Mapping[PipelineState, frozenset[PipelineState]] = MappingProxyType(
    {
        PipelineState.QUEUED: frozenset(
            {PipelineState.RUNNING, PipelineState.FAILED, PipelineState.CANCELLED}
        ),
        PipelineState.RUNNING: frozenset(
            {PipelineState.SUCCEEDED, PipelineState.FAILED, PipelineState.CANCELLED}
        ),
        PipelineState.SUCCEEDED: frozenset(),
        PipelineState.FAILED: frozenset(),
        PipelineState.CANCELLED: frozenset(),
    }
)


@dataclass(frozen=True)
class PipelineAsked:
    """What was asked for when a pipeline run was; `parse_pipeline_asked` makes one from outside values."""

    pipeline: Pipeline
    parameters: DataQuality


@dataclass(frozen=True)
class PipelineRunEvent:
    """One thing that happened to a pipeline run; times are UTC. Each state comes once, so it makes the event's id."""

    pipeline_run_id: PipelineRunId
    pipeline: Pipeline
    state: PipelineState
    recorded_at: datetime
    parameters: str | None = None
    key_id: str | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    rows_written: int | None = None
    error_code: str | None = None
    reason: str | None = None
    run_id: str | None = None

    @property
    def event_id(self) -> str:
        """`<pipeline run>.<state>`."""
        return f"{self.pipeline_run_id}.{self.state}"


@dataclass(frozen=True)
class PipelineRun:
    """A pipeline run as its events say; times are UTC, `run_id` is the Dagster run that did the work last."""

    pipeline_run_id: PipelineRunId
    pipeline: Pipeline
    state: PipelineState
    parameters: str | None
    key_id: str | None
    run_id: str | None
    requested_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    rows_written: int
    error_code: str | None
    reason: str | None


def run_of(events: Iterable[PipelineRunEvent]) -> PipelineRun | None:
    """The run that one run's events add up to, in whatever order they arrived; None without any.

    The first final state counts. Before that the furthest one does: appends have no global order.
    """
    ordered = sorted(events, key=lambda event: (event.recorded_at, _RANK[event.state]))
    if not ordered:
        return None
    final = next((event for event in ordered if event.state.is_final), None)
    latest = final or max(ordered, key=lambda event: _RANK[event.state])
    return PipelineRun(
        pipeline_run_id=latest.pipeline_run_id,
        pipeline=latest.pipeline,
        state=latest.state,
        parameters=_first(event.parameters for event in ordered),
        key_id=_first(event.key_id for event in ordered),
        run_id=latest.run_id or _first(event.run_id for event in reversed(ordered)),
        requested_at=ordered[0].recorded_at,
        started_at=_first(event.started_at for event in ordered),
        finished_at=latest.finished_at,
        rows_written=latest.rows_written or 0,
        error_code=latest.error_code,
        reason=latest.reason,
    )


def parse_pipeline_asked(pipeline: str, parameters: Mapping[str, object]) -> PipelineAsked:
    """A checked request for a pipeline run.

    Raises:
        PermanentError: INVALID_ARGUMENT, naming the pipelines or the parameters there are.
    """
    if pipeline not in Pipeline:
        raise PermanentError(
            ErrorCode.INVALID_ARGUMENT,
            f"Choose one of the pipelines {', '.join(Pipeline)}.",
            {"field": "pipeline", "pipelines": [str(one) for one in Pipeline]},
        )
    return PipelineAsked(Pipeline(pipeline), parse_data_quality(parameters))


def parse_pipeline_run_id(value: str) -> PipelineRunId:
    """The pipeline run id that `value` is.

    Raises:
        PermanentError: INVALID_ARGUMENT.
    """
    if not re.fullmatch(PIPELINE_RUN_ID_PATTERN, value):
        raise PermanentError(
            ErrorCode.INVALID_ARGUMENT,
            "Give a pipeline run id as it was answered: run_ and 26 lower-case letters and digits.",
            {"field": "pipeline_run_id", "pattern": PIPELINE_RUN_ID_PATTERN},
        )
    return PipelineRunId(value)


def pipeline_run_id(tenant_id: TenantId, idempotency_key: str | None) -> PipelineRunId:
    """A fresh id of 128 random bits; with a key, the one id that this tenant's key stands for.

    Raises:
        PermanentError: INVALID_ARGUMENT if the key is none.
    """
    if idempotency_key is None:
        return _run_id(secrets.token_bytes(16))
    key = parse_idempotency_key(idempotency_key)
    return _run_id(sha256(f"{tenant_id}:{key}".encode()).digest()[:16])


def parameters_as_json(asked: PipelineAsked) -> str:
    """The parameters as the history keeps them: equal texts are equal parameters."""
    return json.dumps(asked.parameters.as_json(), sort_keys=True)


def _run_id(sixteen_bytes: bytes) -> PipelineRunId:
    return PipelineRunId("run_" + b32encode(sixteen_bytes).decode().rstrip("=").lower())


def _first[T](values: Iterable[T | None]) -> T | None:
    return next((value for value in values if value is not None), None)


_RANK = {state: place for place, state in enumerate(PipelineState)}
