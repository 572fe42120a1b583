"""What a tenant, a plan and a request are: ids, states with their transitions, frozen dataclasses.

What belongs here: types and the checks made once at the edge. No I/O; other domains may import this module of
tenancy and no other.
"""

import re
import secrets
import unicodedata
from base64 import b32encode
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from types import MappingProxyType
from typing import NewType

from convergence_orchestration.errors import ErrorCode, PermanentError

TenantId = NewType("TenantId", str)
RequestId = NewType("RequestId", str)

TENANT_ID_PATTERN = r"^[a-z][a-z0-9_]{2,49}$"
REQUEST_ID_PATTERN = r"^req_[a-z0-9]{26}$"
RESERVED_TENANT_IDS = frozenset(
    {
        # our own datasets and partitions
        *("tenants", "tenant", "snapshots", "backups", "archive", "staging", "central"),
        # words that paths, roles and consoles give a meaning of their own
        *("admin", "administrator", "root", "system", "internal", "api", "all", "any", "batch", "self"),
        *("default", "public", "private", "shared", "common", "global", "convergence", "dagster", "google"),
        # words that SQL and its catalogues give a meaning of their own
        *("information_schema", "pg_catalog", "bigquery", "null", "none", "true", "false", "unknown"),
    }
)
"""Ids that no tenant gets, whatever its name: each would be mistaken for something of the platform."""

MAX_DESCRIPTION_LENGTH = 1000
MAX_COMPANY_NAME_LENGTH = 200
MAX_EMAIL_LENGTH = 254
_EMAIL = re.compile(r"[^@\s]+@[^@\s.]+(\.[^@\s.]+)+")


class Plan(StrEnum):
    """What a tenant pays for."""

    STARTER = "STARTER"
    PROFESSIONAL = "PROFESSIONAL"
    SCALE = "SCALE"


@dataclass(frozen=True)
class PlanLimits:
    """What a plan allows: pipeline runs a day (UTC), runs at once, API requests a minute and an hour."""

    runs_per_day: int
    concurrent_runs: int
    requests_per_minute: int = 100
    requests_per_hour: int = 1000


PLAN_LIMITS: Mapping[Plan, PlanLimits] = MappingProxyType(
    {
        Plan.STARTER: PlanLimits(runs_per_day=6, concurrent_runs=3),
        Plan.PROFESSIONAL: PlanLimits(runs_per_day=25, concurrent_runs=5),
        Plan.SCALE: PlanLimits(runs_per_day=100, concurrent_runs=10),
    }
)


class TenantState(StrEnum):
    """Where a tenant is in its life."""

    PROVISIONING = "PROVISIONING"
    ACTIVE = "ACTIVE"
    SUSPENDED = "SUSPENDED"
    OFFBOARDING = "OFFBOARDING"
    DELETED = "DELETED"


TENANT_TRANSITIONS: Mapping[TenantState, frozenset[TenantState]] = MappingProxyType(
    {
        TenantState.PROVISIONING: frozenset({TenantState.ACTIVE}),
        TenantState.ACTIVE: frozenset({TenantState.SUSPENDED, TenantState.OFFBOARDING}),
        TenantState.SUSPENDED: frozenset({TenantState.ACTIVE, TenantState.OFFBOARDING}),
        # resumable until the retention period is over
        TenantState.OFFBOARDING: frozenset({TenantState.ACTIVE, TenantState.DELETED}),
        TenantState.DELETED: frozenset(),
    }
)


class RequestKind(StrEnum):
    """What was asked for."""

    ONBOARD = "ONBOARD"


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
        # asked again by the API, or re-executed in the Dagster UI
        RequestState.FAILED: frozenset({RequestState.REQUESTED, RequestState.RUNNING}),
        RequestState.DONE: frozenset(),
    }
)
OPEN_STATES = frozenset({RequestState.REQUESTED, RequestState.RUNNING})


@dataclass(frozen=True)
class NewTenant:
    """What was asked for when a tenant was asked for; `parse_new_tenant` makes one from outside values."""

    tenant_id: TenantId
    description: str = ""
    company_name: str = ""
    admin_email: str = ""
    plan: Plan = Plan.STARTER

    def as_json(self) -> dict[str, str]:
        """The fields as plain strings, for an event's `parameters`."""
        return {name: str(value) for name, value in asdict(self).items()}


@dataclass(frozen=True)
class Tenant:
    """A tenant as its profile says; times are UTC."""

    tenant_id: TenantId
    state: TenantState
    company_name: str
    description: str
    admin_email: str
    plan: Plan
    dataset_id: str
    request_id: RequestId
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True)
class RequestEvent:
    """One thing that happened to a request; `attempt` counts from 1, times are UTC.

    `event_id` follows from what happened, so that appending the same event twice leaves one.
    """

    request_id: RequestId
    tenant_id: TenantId
    state: RequestState
    recorded_at: datetime
    actor: str
    attempt: int = 1
    kind: RequestKind = RequestKind.ONBOARD
    parameters: NewTenant | None = None
    run_id: str | None = None
    reason: str | None = None
    error_code: ErrorCode | None = None
    idempotency_key: str | None = None

    @property
    def event_id(self) -> str:
        """`<request>.<attempt>.<state>[.<run>]`."""
        parts = [self.request_id, str(self.attempt), str(self.state), self.run_id]
        return ".".join(part for part in parts if part)


@dataclass(frozen=True)
class TenantRequest:
    """A request as its events say; times are UTC, `requested_at` the first event's, `updated_at` the last one's."""

    request_id: RequestId
    tenant_id: TenantId
    kind: RequestKind
    state: RequestState
    parameters: NewTenant
    run_id: str | None
    reason: str | None
    error_code: ErrorCode | None
    attempt: int
    requested_at: datetime
    updated_at: datetime

    @property
    def is_open(self) -> bool:
        """Asked for, and neither done nor failed."""
        return self.state in OPEN_STATES


def parse_tenant_id(value: str) -> TenantId:
    """The tenant id that `value` is.

    Raises:
        PermanentError: INVALID_TENANT_ID (the form is wrong) or RESERVED_TENANT_ID.
    """
    if not re.fullmatch(TENANT_ID_PATTERN, value):
        raise PermanentError(
            ErrorCode.INVALID_TENANT_ID,
            "Choose a tenant id of 3 to 50 characters: a lower-case letter, then lower-case letters, digits "
            "and underscores, for example acmecorp.",
            {"pattern": TENANT_ID_PATTERN},
        )
    if value in RESERVED_TENANT_IDS:
        raise PermanentError(
            ErrorCode.RESERVED_TENANT_ID,
            f"Choose another tenant id: {value} is reserved for the platform.",
            {"tenant_id": value, "reserved": sorted(RESERVED_TENANT_IDS)},
        )
    return TenantId(value)


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


def parse_plan(value: str) -> Plan:
    """The plan that `value` names.

    Raises:
        PermanentError: INVALID_ARGUMENT, naming the plans there are.
    """
    if value not in Plan:
        raise PermanentError(
            ErrorCode.INVALID_ARGUMENT,
            f"Choose one of the plans {', '.join(Plan)}.",
            {"field": "plan", "plans": [str(plan) for plan in Plan]},
        )
    return Plan(value)


def parse_new_tenant(
    tenant_id: str,
    description: str = "",
    company_name: str = "",
    admin_email: str = "",
    plan: str = Plan.STARTER,
) -> NewTenant:
    """A checked request for a tenant.

    Raises:
        PermanentError: INVALID_TENANT_ID, RESERVED_TENANT_ID or INVALID_ARGUMENT (details name the field).
    """
    return NewTenant(
        tenant_id=parse_tenant_id(tenant_id),
        description=_text("description", description, MAX_DESCRIPTION_LENGTH),
        company_name=_text("company_name", company_name, MAX_COMPANY_NAME_LENGTH),
        admin_email=_email(admin_email),
        plan=parse_plan(plan),
    )


def new_request_id() -> RequestId:
    """A fresh request id: 128 random bits, valid as a BigQuery label."""
    return _request_id(secrets.token_bytes(16))


def request_id_of_run(root_run_id: str) -> RequestId:
    """The request that a run started by hand stands for; a re-execution has the same root run, so the same request."""
    return _request_id(sha256(f"dagster-run:{root_run_id}".encode()).digest()[:16])


def _request_id(sixteen_bytes: bytes) -> RequestId:
    return RequestId("req_" + b32encode(sixteen_bytes).decode().rstrip("=").lower())


def _text(field: str, value: str, longest: int) -> str:
    if len(value) > longest:
        raise PermanentError(
            ErrorCode.INVALID_ARGUMENT,
            f"Shorten {field} to {longest} characters; it has {len(value)}.",
            {"field": field},
        )
    if any(unicodedata.category(letter) in {"Cc", "Cs"} and letter not in "\n\t" for letter in value):
        raise PermanentError(
            ErrorCode.INVALID_ARGUMENT, f"Remove the control characters from {field}.", {"field": field}
        )
    return value


def _email(value: str) -> str:
    text = _text("admin_email", value, MAX_EMAIL_LENGTH)
    if text and not _EMAIL.fullmatch(text):
        raise PermanentError(
            ErrorCode.INVALID_ARGUMENT,
            "Give admin_email as name@example.com, or leave it empty.",
            {"field": "admin_email"},
        )
    return text
