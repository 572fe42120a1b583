"""How the API has a key issued or rotated and handed over: refuse early, launch the run, tell this process' index.

What belongs here: the order of the steps. The run decides for good whether a key may be issued; what is refused here
saves a run. Revoking is `key_revocations.py`.
"""

from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass

import anyio

from convergence_orchestration.api.launching import (
    ACTOR_TAG,
    REQUEST_TAG,
    TENANT_TAG,
    launch,
    outcome_of,
)
from convergence_orchestration.api.runs import RunId, RunStatus
from convergence_orchestration.api.services import Services
from convergence_orchestration.errors import ErrorCode, PermanentError, TransientError
from convergence_orchestration.keys.delivery import Delivered, Delivery, deliver
from convergence_orchestration.keys.issuing import NewKey, place_to_issue
from convergence_orchestration.keys.launches import (
    ISSUE_JOB,
    ISSUE_OP,
    ROTATE_JOB,
    ROTATE_OP,
    issue_config,
    rotate_config,
)
from convergence_orchestration.keys.model import KeyEvent, KeyEventKind, KeyId, KeyRecord
from convergence_orchestration.keys.rotating import Rotation, place_to_rotate
from convergence_orchestration.keys.slots import Slot
from convergence_orchestration.tenancy.model import TenantId

KEY_TAG = "convergence/key_id"
_OF_ANY_KEY = frozenset(
    {
        ErrorCode.KEY_EXISTS,
        ErrorCode.TENANT_NOT_FOUND,
        ErrorCode.TENANT_NOT_ACTIVE,
        ErrorCode.NOT_BOOTSTRAPPED,
    }
)
"""What refuses every other new key of the tenant too; a reused Idempotency-Key concerns its own caller alone."""

_SHORTEST_TURN_SECONDS = 1.0
_ENDED_BADLY = frozenset({RunStatus.FAILURE, RunStatus.CANCELED})


@dataclass(frozen=True)
class KeyRun:
    """A run that makes a key, and the look that tells whether it is needed.

    Attributes:
        key_id: the key that it makes.
        is_repeatable: an Idempotency-Key stands for it, so that a run may be at it already.
        look: the key's record if it is made, or the place that it may claim; raises what the run would fail with.
        is_like_any: what refuses it refuses any other new key of the tenant.
    """

    job: str
    op: str
    config: dict[str, object]
    tenant_id: TenantId
    key_id: KeyId
    actor: str
    request_id: str | None
    is_repeatable: bool
    look: Callable[[], KeyRecord | Slot]
    is_like_any: bool = False


@dataclass(frozen=True)
class Made:
    """How far a key is: whether it is made, and by which run; None if that was an earlier request's."""

    is_done: bool
    run_id: RunId | None


def issue_run(services: Services, wanted: NewKey) -> KeyRun:
    """The run that issues `wanted`."""
    return KeyRun(
        job=ISSUE_JOB,
        op=ISSUE_OP,
        config=issue_config(wanted),
        tenant_id=wanted.tenant_id,
        key_id=wanted.key_id,
        actor=wanted.actor,
        request_id=wanted.request_id,
        is_repeatable=wanted.is_repeatable,
        look=lambda: place_to_issue(services.key_stores, wanted, services.clock()),
        is_like_any=True,
    )


def rotate_run(services: Services, tenant_id: TenantId, wanted: Rotation) -> KeyRun:
    """The run that rotates a key of this tenant."""
    return KeyRun(
        job=ROTATE_JOB,
        op=ROTATE_OP,
        config=rotate_config(wanted),
        tenant_id=tenant_id,
        key_id=wanted.new_key_id,
        actor=wanted.actor,
        request_id=wanted.request_id,
        is_repeatable=wanted.is_repeatable,
        look=lambda: place_to_rotate(services.key_stores, wanted, services.clock()),
    )


async def make(services: Services, wanted: KeyRun, seconds: float) -> Made:
    """Launch the run, unless one is at it or was, and wait for it for at most `seconds`.

    Requests for one tenant go one behind the other in this process, as long as they care to wait; what the first one's
    success refuses is refused without a run, and to all who waited by one look. The run decides in any case.

    Raises:
        PermanentError: as `look` raises, NOT_BOOTSTRAPPED; nothing was done.
        TransientError: DAGSTER_UNAVAILABLE; nothing was done.
        ConvergenceError: the run's own failure.
    """
    asked_at = services.key_refusals.now()
    async with AsyncExitStack() as turn:
        with anyio.move_on_after(max(seconds, _SHORTEST_TURN_SECONDS)):
            await turn.enter_async_context(services.turns.of(f"keys of {wanted.tenant_id}"))
        if isinstance(await _looked(services, wanted, asked_at), KeyRecord):
            return Made(is_done=True, run_id=None)
        followed = await _live_run(services, wanted) if wanted.is_repeatable else None
        run_id = followed or await _launch(services, wanted)
        outcome = await outcome_of(services, run_id, seconds, key_id=wanted.key_id)
    is_done = outcome.status is RunStatus.SUCCESS
    if is_done and followed is not None:  # it may have been launched for another question
        await services.blocking(wanted.look)
    return Made(is_done, run_id)


async def hand_over(services: Services, asked: Delivery) -> Delivered:
    """Open the key's sealed copy for its caller; this process accepts the key from now on.

    Raises:
        ConvergenceError: as `keys.delivery.deliver`; after a transient one the key can still be revealed, which the
            details say.
    """
    try:
        delivered = await services.blocking(
            deliver, services.key_stores, services.kms, asked, services.clock()
        )
    except TransientError as error:
        error.details["key_id"] = asked.key_id
        error.details["reveal"] = f"POST /api/v1/admin/api-keys/{asked.key_id}/reveal"
        raise
    services.follower.note(_issued(delivered.record, asked.actor))
    return delivered


def let_end(services: Services, old: KeyRecord, actor: str) -> None:
    """Tell this process when a rotated key ends, before the ledger is read again."""
    services.follower.note(
        KeyEvent(
            key_id=old.key_id,
            tenant_id=old.tenant_id,
            kind=KeyEventKind.ROTATED,
            environment=old.environment,
            recorded_at=old.rotated_at or services.clock(),
            actor=actor,
            overlap_ends_at=old.overlap_ends_at,
            successor_key_id=old.successor_key_id,
        )
    )


async def _looked(services: Services, wanted: KeyRun, asked_at: float) -> KeyRecord | Slot:
    refusals = services.key_refusals
    said = refusals.said_to(wanted.tenant_id, asked_at) if wanted.is_like_any else None
    if said is not None and wanted.key_id not in str(said.details):
        raise said
    looked_at = refusals.now()
    try:
        return await services.blocking(wanted.look)
    except PermanentError as error:
        if wanted.is_like_any and error.code in _OF_ANY_KEY:
            refusals.remember(wanted.tenant_id, looked_at, error)
        raise


async def _live_run(services: Services, wanted: KeyRun) -> RunId | None:
    """A run that was launched for the same Idempotency-Key and has not failed."""
    statuses = await services.dagster.tagged(wanted.job, KEY_TAG, wanted.key_id)
    return next((run_id for run_id, status in statuses.items() if status not in _ENDED_BADLY), None)


async def _launch(services: Services, wanted: KeyRun) -> RunId:
    await services.dagster.ping()
    tags = {
        TENANT_TAG: wanted.tenant_id,
        ACTOR_TAG: wanted.actor,
        REQUEST_TAG: wanted.request_id or "",
        KEY_TAG: wanted.key_id,
    }
    return await launch(services, wanted.job, {wanted.op: wanted.config}, tags)


def _issued(record: KeyRecord, actor: str) -> KeyEvent:
    """The event that the run wrote, as far as the index needs it."""
    return KeyEvent(
        key_id=record.key_id,
        tenant_id=record.tenant_id,
        kind=KeyEventKind.ISSUED,
        environment=record.environment,
        recorded_at=record.issued_at,
        actor=actor,
        key_hash=record.key_hash,
        description=record.description,
        scopes=record.scopes,
        expires_at=record.expires_at,
    )
