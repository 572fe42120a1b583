"""What a tenant and a plan are: ids, states with their transitions, frozen dataclasses.

What belongs here: types and the checks made once at the edge. No I/O; other domains may import this module of
tenancy and no other.
"""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import NewType

from convergence_orchestration.errors import ErrorCode, PermanentError

TenantId = NewType("TenantId", str)

TENANT_ID_PATTERN = r"^[a-z][a-z0-9_]{2,49}$"
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


class Plan(StrEnum):
    """What a tenant pays for."""

    STARTER = "STARTER"
    PROFESSIONAL = "PROFESSIONAL"
    SCALE = "SCALE"


@dataclass(frozen=True)
class PlanLimits:
    """What a plan allows: pipeline runs a day (UTC), runs at once, API requests a minute and an hour, active keys."""

    runs_per_day: int
    concurrent_runs: int
    requests_per_minute: int = 100
    requests_per_hour: int = 1000
    active_keys: int = 1


PLAN_LIMITS: Mapping[Plan, PlanLimits] = MappingProxyType(
    {
        Plan.STARTER: PlanLimits(runs_per_day=6, concurrent_runs=3),
        Plan.PROFESSIONAL: PlanLimits(runs_per_day=25, concurrent_runs=5, active_keys=3),
        Plan.SCALE: PlanLimits(runs_per_day=100, concurrent_runs=10, active_keys=10),
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


@dataclass(frozen=True)
class Tenant:
    """A tenant as its profile says; times are UTC.

    Attributes:
        request_id: the request that made the tenant and owns its id.
        state_reason: why it is suspended or on its way out, as it was given.
        principal: who may read and write the dataset in BigQuery itself, `user:...`; empty: the platform alone.
        delete_after: when an OFFBOARDING tenant is deleted.
        state_changed_by: the request that changed the state last.
        state_asked_at: when that request was made; changes take effect in the order in which they were asked for.
    """

    tenant_id: TenantId
    state: TenantState
    company_name: str
    description: str
    admin_email: str
    plan: Plan
    dataset_id: str
    request_id: str
    created_at: datetime
    updated_at: datetime
    state_reason: str = ""
    principal: str = ""
    delete_after: datetime | None = None
    state_changed_by: str | None = None
    state_asked_at: datetime | None = None


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


def checked_text(field: str, value: str, longest: int) -> str:
    """`value` if it is short enough and has no control characters.

    Raises:
        PermanentError: INVALID_ARGUMENT, naming the field.
    """
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
