"""What a request is: its id, its states with their transitions, its events.

What belongs here: types and ids. What was asked for is `asked.py`; what events add up to is `request_history.py`. No I/O.
"""

import re
import secrets
from base64 import b32encode
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from types import MappingProxyType
from typing import NewType

from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.tenancy.asked import Asked, RequestKind
from convergence_orchestration.tenancy.model import TenantId

RequestId = NewType("RequestId", str)
BatchId = NewType("BatchId", str)

REQUEST_ID_PATTERN = r"^req_[a-z0-9]{26}$"
BATCH_ID_PATTERN = r"^bat_[a-z0-9]{26}$"
IDEMPOTENCY_KEY_PATTERN = r"^[\x21-\x7e]{1,255}$"


class RequestState(StrEnum):
    """How far a request has come."""

    REQUESTED = "REQUESTED"
    RUNNING = "RUNNING"
    DONE = "DONE"
    FAILED = "FAILED"


REQUEST_TRANSITIONS: Mapping[RequestState, frozenset[RequestState]] = MappingProxyType(
    {
        RequestState.REQUESTED: frozenset({RequestState.RUNNING, RequestState.FAILED}),
        # RUNNING again: the run before it was killed and left no word
        RequestState.RUNNING: frozenset({RequestState.RUNNING, RequestState.DONE, RequestState.FAILED}),
        # asked again by the API, tried again by the sensor, or re-executed in the Dagster UI
        RequestState.FAILED: frozenset({RequestState.REQUESTED, RequestState.RUNNING}),
        RequestState.DONE: frozenset(),
    }
)
OPEN_STATES = frozenset({RequestState.REQUESTED, RequestState.RUNNING})


@dataclass(frozen=True)
class RequestEvent:
    """One thing that happened to a request; `attempt` counts from 1, times are UTC.

    `event_id` follows from what happened, so that appending the same event twice leaves one.
    """

    request_id: RequestId
    tenant_id: TenantId
    kind: RequestKind
    state: RequestState
    recorded_at: datetime
    actor: str
    attempt: int = 1
    parameters: Asked | None = None
    run_id: str | None = None
    reason: str | None = None
    error_code: ErrorCode | None = None
    idempotency_key: str | None = None
    batch_id: BatchId | None = None

    @property
    def event_id(self) -> str:
        """`<request>.<attempt>.<state>[.<run>]`, and `<request>.DONE`: of two runs that carried it out, one is told."""
        if self.state is RequestState.DONE:
            return f"{self.request_id}.{self.state}"
        parts = [self.request_id, str(self.attempt), str(self.state), self.run_id]
        return ".".join(part for part in parts if part)


@dataclass(frozen=True)
class TenantRequest:
    """A request as its events say; times are UTC, `requested_at` the first event's, `updated_at` the last one's."""

    request_id: RequestId
    tenant_id: TenantId
    kind: RequestKind
    state: RequestState
    parameters: Asked
    actor: str
    run_id: str | None
    reason: str | None
    error_code: ErrorCode | None
    attempt: int
    batch_id: BatchId | None
    requested_at: datetime
    updated_at: datetime

    @property
    def is_open(self) -> bool:
        """Asked for, and neither done nor failed."""
        return self.state in OPEN_STATES


def parse_request_id(value: str) -> RequestId:
    """The request id that `value` is.

    Raises:
        PermanentError: INVALID_ARGUMENT.
    """
    if not re.fullmatch(REQUEST_ID_PATTERN, value):
        raise PermanentError(
            ErrorCode.INVALID_ARGUMENT,
            "Give a request id as the API answered it (req_ and 26 lower-case letters and digits), or leave it empty.",
            {"pattern": REQUEST_ID_PATTERN},
        )
    return RequestId(value)


def parse_idempotency_key(value: str) -> str:
    """The Idempotency-Key that a caller sent.

    Raises:
        PermanentError: INVALID_ARGUMENT.
    """
    if not re.fullmatch(IDEMPOTENCY_KEY_PATTERN, value):
        raise PermanentError(
            ErrorCode.INVALID_ARGUMENT,
            "Send 1 to 255 visible ASCII characters as Idempotency-Key, for example a UUID.",
            {"field": "Idempotency-Key"},
        )
    return value


def new_request_id() -> RequestId:
    """A fresh request id: 128 random bits, valid as a BigQuery label."""
    return RequestId(_id("req_", secrets.token_bytes(16)))


def request_id_of_run(root_run_id: str) -> RequestId:
    """The request that a run started by hand stands for; a re-execution has the same root run, so the same request."""
    return _derived_request(f"dagster-run:{root_run_id}")


def request_id_of_key(kind: RequestKind, actor: str, idempotency_key: str) -> RequestId:
    """The request that a caller's Idempotency-Key stands for: the same key is the same request in every process."""
    return _derived_request(f"idempotency-key:{kind}:{actor}:{idempotency_key}")


def request_id_in_batch(batch_id: BatchId, tenant_id: TenantId) -> RequestId:
    """The request for one tenant of a batch; a batch that is sent again is the same requests."""
    return _derived_request(f"batch:{batch_id}:{tenant_id}")


def request_id_of_deletion(offboarding: RequestId) -> RequestId:
    """The request that deletes what an offboarding has kept until now, one however often it is asked for."""
    return _derived_request(f"deletion:{offboarding}")


def new_batch_id() -> BatchId:
    """A fresh batch id: 128 random bits."""
    return BatchId(_id("bat_", secrets.token_bytes(16)))


def batch_id_of_key(actor: str, idempotency_key: str) -> BatchId:
    """The batch that a caller's Idempotency-Key stands for."""
    return BatchId(_id("bat_", _digest(f"idempotency-key:{actor}:{idempotency_key}")))


def _derived_request(text: str) -> RequestId:
    return RequestId(_id("req_", _digest(text)))


def _digest(text: str) -> bytes:
    return sha256(text.encode()).digest()[:16]


def _id(prefix: str, sixteen_bytes: bytes) -> str:
    return prefix + b32encode(sixteen_bytes).decode().rstrip("=").lower()
