"""What can be asked for about a tenant: one frozen dataclass each, and the checks that make one from outside values.

What belongs here: the parameters of a request and nothing about how far it has come, which is `request_model.py`. No I/O.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.tenancy.model import (
    MAX_COMPANY_NAME_LENGTH,
    MAX_DESCRIPTION_LENGTH,
    MAX_EMAIL_LENGTH,
    Plan,
    TenantId,
    checked_text,
    parse_plan,
    parse_tenant_id,
)

DEFAULT_RETENTION_DAYS = 30
MAX_RETENTION_DAYS = 365
MAX_REASON_LENGTH = 500
PRINCIPAL_FORM = (
    "serviceAccount:NAME@PROJECT.iam.gserviceaccount.com, user:NAME@EXAMPLE.COM or group:NAME@EXAMPLE.COM"
)
_EMAIL = re.compile(r"[^@\s]+@[^@\s.]+(\.[^@\s.]+)+")
_PRINCIPAL_KINDS = frozenset({"serviceAccount", "user", "group"})


class RequestKind(StrEnum):
    """What was asked for."""

    ONBOARD = "ONBOARD"
    CHANGE_PLAN = "CHANGE_PLAN"
    SUSPEND = "SUSPEND"
    RESUME = "RESUME"
    OFFBOARD = "OFFBOARD"
    DELETE = "DELETE"


@dataclass(frozen=True)
class NewTenant:
    """A tenant to be; `principal` may read and write its dataset in BigQuery itself, `user:...` or empty."""

    tenant_id: TenantId
    description: str = ""
    company_name: str = ""
    admin_email: str = ""
    plan: Plan = Plan.STARTER
    principal: str = ""


@dataclass(frozen=True)
class PlanChange:
    """Another plan for a tenant."""

    tenant_id: TenantId
    plan: Plan


@dataclass(frozen=True)
class Suspension:
    """A tenant whose calls are to be refused until it is resumed."""

    tenant_id: TenantId
    reason: str = ""


@dataclass(frozen=True)
class Resumption:
    """A suspended tenant, or one on its way out, that is to be ACTIVE again."""

    tenant_id: TenantId
    reason: str = ""


@dataclass(frozen=True)
class Offboarding:
    """A tenant that leaves: refused at once, deleted after `retention_days`, copied to snapshots first if asked for."""

    tenant_id: TenantId
    reason: str = ""
    take_snapshot: bool = False
    retention_days: int = DEFAULT_RETENTION_DAYS


@dataclass(frozen=True)
class Deletion:
    """A tenant whose retention period is over; asked for by the platform itself."""

    tenant_id: TenantId


type Asked = NewTenant | PlanChange | Suspension | Resumption | Offboarding | Deletion

_CLASSES: Mapping[RequestKind, type[Asked]] = MappingProxyType(
    {
        RequestKind.ONBOARD: NewTenant,
        RequestKind.CHANGE_PLAN: PlanChange,
        RequestKind.SUSPEND: Suspension,
        RequestKind.RESUME: Resumption,
        RequestKind.OFFBOARD: Offboarding,
        RequestKind.DELETE: Deletion,
    }
)
_KINDS = {of_kind: kind for kind, of_kind in _CLASSES.items()}


def kind_of(asked: Asked) -> RequestKind:
    """Which kind of request asks for this."""
    return _KINDS[type(asked)]


def to_json(asked: Asked) -> str:
    """The parameters as an event stores them."""
    return json.dumps(asdict(asked))


def from_json(kind: RequestKind, text: str) -> Asked:
    """The parameters that an event stored; fields it lacks, being older than they are, have their defaults."""
    fields: dict[str, Any] = json.loads(text)
    if "plan" in fields:
        fields["plan"] = Plan(fields["plan"])
    return _CLASSES[kind](**fields)


def parse_new_tenant(
    *,
    tenant_id: str,
    description: str = "",
    company_name: str = "",
    admin_email: str = "",
    plan: str = Plan.STARTER,
    principal: str = "",
) -> NewTenant:
    """A checked request for a tenant.

    Raises:
        PermanentError: INVALID_TENANT_ID, RESERVED_TENANT_ID or INVALID_ARGUMENT (details name the field).
    """
    return NewTenant(
        tenant_id=parse_tenant_id(tenant_id),
        description=checked_text("description", description, MAX_DESCRIPTION_LENGTH),
        company_name=checked_text("company_name", company_name, MAX_COMPANY_NAME_LENGTH),
        admin_email=_email(admin_email),
        plan=parse_plan(plan),
        principal=_principal(principal),
    )


def parse_plan_change(*, tenant_id: str, plan: str) -> PlanChange:
    """A checked request for another plan.

    Raises:
        PermanentError: as `parse_new_tenant`.
    """
    return PlanChange(parse_tenant_id(tenant_id), parse_plan(plan))


def parse_suspension(*, tenant_id: str, reason: str = "") -> Suspension:
    """A checked request to suspend.

    Raises:
        PermanentError: as `parse_new_tenant`.
    """
    return Suspension(parse_tenant_id(tenant_id), checked_text("reason", reason, MAX_REASON_LENGTH))


def parse_resumption(*, tenant_id: str, reason: str = "") -> Resumption:
    """A checked request to resume.

    Raises:
        PermanentError: as `parse_new_tenant`.
    """
    return Resumption(parse_tenant_id(tenant_id), checked_text("reason", reason, MAX_REASON_LENGTH))


def parse_offboarding(
    *,
    tenant_id: str,
    confirm: str,
    reason: str = "",
    take_snapshot: bool = False,
    retention_days: int = DEFAULT_RETENTION_DAYS,
) -> Offboarding:
    """A checked request to offboard; `confirm` has to be the tenant's id once more.

    Raises:
        PermanentError: as `parse_new_tenant`; INVALID_ARGUMENT if the confirmation differs.
    """
    checked = parse_tenant_id(tenant_id)
    if confirm != checked:
        raise PermanentError(
            ErrorCode.INVALID_ARGUMENT,
            f"Give confirm={checked} to offboard {checked}: the confirmation is another text or missing.",
            {"field": "confirm"},
        )
    if not 0 <= retention_days <= MAX_RETENTION_DAYS:
        raise PermanentError(
            ErrorCode.INVALID_ARGUMENT,
            f"Give retention_days from 0 to {MAX_RETENTION_DAYS}.",
            {"field": "retention_days"},
        )
    return Offboarding(
        checked, checked_text("reason", reason, MAX_REASON_LENGTH), take_snapshot, retention_days
    )


def _email(value: str) -> str:
    text = checked_text("admin_email", value, MAX_EMAIL_LENGTH)
    if text and not _EMAIL.fullmatch(text):
        raise PermanentError(
            ErrorCode.INVALID_ARGUMENT,
            "Give admin_email as name@example.com, or leave it empty.",
            {"field": "admin_email"},
        )
    return text


def _principal(value: str) -> str:
    text = checked_text("principal", value, MAX_EMAIL_LENGTH)
    kind, _, email = text.partition(":")
    if text and not (kind in _PRINCIPAL_KINDS and _EMAIL.fullmatch(email)):
        raise PermanentError(
            ErrorCode.INVALID_ARGUMENT,
            f"Give principal as {PRINCIPAL_FORM}, or leave it empty.",
            {"field": "principal"},
        )
    return text
