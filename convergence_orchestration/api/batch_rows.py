"""The rows of a batch: which can be accepted, and why the others cannot. Pure, on what was read before.

What belongs here: checks of one row at a time. Writing down what is accepted is `batches.py`.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pydantic import ValidationError

from convergence_orchestration.api.admission import Follow, Known, Write, admit, key_reused
from convergence_orchestration.api.failures import field_problems, refused_field
from convergence_orchestration.api.tenant_bodies import TenantWanted
from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.tenancy.asked import NewTenant, parse_new_tenant
from convergence_orchestration.tenancy.model import TENANT_ID_PATTERN, Tenant, TenantId
from convergence_orchestration.tenancy.request_model import BatchId, TenantRequest, request_id_in_batch

_MOST_FIELDS_NAMED = 5


@dataclass(frozen=True)
class Row:
    """A row that is well-formed; `index` counts from 0."""

    index: int
    asked: NewTenant


@dataclass(frozen=True)
class Refused:
    """A row that is not accepted; `tenant_id` is None if it is not of the form of an id."""

    index: int
    tenant_id: str | None
    code: ErrorCode
    message: str
    field: str = "tenant_id"

    @property
    def place(self) -> str:
        """The field as the answer for a whole request names it."""
        return f"tenants.{self.index}.{self.field}" if self.field else f"tenants.{self.index}"


@dataclass(frozen=True)
class Admitted:
    """A row for which a request is to be written down, or is there already."""

    row: Row
    decision: Write | Follow


def parsed(rows: Sequence[object]) -> tuple[list[Row], list[Refused]]:
    """The rows as tenants to be; refused are those that are malformed, and every repetition of a tenant id."""
    good: dict[TenantId, Row] = {}
    refused: list[Refused] = []
    for index, sent in enumerate(rows):
        row = _parsed(index, sent)
        if isinstance(row, Refused):
            refused.append(row)
        elif first := good.get(row.asked.tenant_id):
            refused.append(_repeated(row, first))
        else:
            good[row.asked.tenant_id] = row
    return list(good.values()), refused


def admitted(
    rows: Iterable[Row],
    tenants: Mapping[TenantId, Tenant],
    requests: Sequence[TenantRequest],
    batch_id: BatchId,
) -> tuple[list[Admitted], list[Refused]]:
    """What to do about each row, on the profiles there are and every request for these tenants."""
    by_tenant: dict[TenantId, list[TenantRequest]] = {}
    for request in requests:
        by_tenant.setdefault(request.tenant_id, []).append(request)
    accepted: list[Admitted] = []
    refused: list[Refused] = []
    for row in rows:
        tenant_id = row.asked.tenant_id
        earlier = by_tenant.get(tenant_id, [])
        same = next((each for each in reversed(earlier) if each.batch_id == batch_id), None)
        try:
            decision = admit(
                row.asked,
                Known(tenants.get(tenant_id), earlier, same),
                request_id_in_batch(batch_id, tenant_id),
            )
        except PermanentError as error:
            refused.append(Refused(row.index, tenant_id, error.code, error.message))
            continue
        if not isinstance(decision, Write | Follow):
            raise TypeError("a tenant to be is never as asked already")
        accepted.append(Admitted(row, decision))
    return accepted, refused


def check_same_batch(batch_id: BatchId, rows: Iterable[Row], written: Iterable[TenantRequest]) -> None:
    """Make sure that a batch sent again asks for what it asked for before; rows refused then may be others now.

    Raises:
        PermanentError: IDEMPOTENCY_KEY_REUSED.
    """
    asked = {row.asked.tenant_id: row.asked for row in rows}
    if any(asked.get(request.tenant_id) != request.parameters for request in written):
        raise key_reused(f"batch {batch_id}")


def _parsed(index: int, sent: object) -> Row | Refused:
    try:
        return Row(index, parse_new_tenant(**TenantWanted.model_validate(sent).model_dump()))
    except ValidationError as error:
        return _malformed(index, sent, error)
    except PermanentError as error:
        return Refused(index, _shown_id(sent), error.code, error.message, refused_field(error) or "")


def _malformed(index: int, sent: object, error: ValidationError) -> Refused:
    found = [{**problem, "loc": ("body", *problem["loc"])} for problem in error.errors()]
    problems = field_problems(found)[:_MOST_FIELDS_NAMED]
    message = "; ".join(f"{each['field']} {each['message']}" for each in problems)
    field = problems[0]["field"] if found[0]["loc"] != ("body",) else ""
    return Refused(index, _shown_id(sent), ErrorCode.INVALID_ARGUMENT, f"Correct this row: {message}.", field)


def _repeated(row: Row, first: Row) -> Refused:
    tenant_id = row.asked.tenant_id
    message = f"Remove this row: row {first.index} asks for {tenant_id} already."
    return Refused(row.index, tenant_id, ErrorCode.INVALID_ARGUMENT, message)


def _shown_id(sent: object) -> str | None:
    """The row's id for the answer, if it is of the form of one: anything else may be a secret in the wrong column."""
    value = sent.get("tenant_id") if isinstance(sent, Mapping) else None
    return value if isinstance(value, str) and re.fullmatch(TENANT_ID_PATTERN, value) else None
