"""Tenants' places for active keys: `tenants.key_slots`, changed by DML alone, never streamed.

What belongs here: the statements, and claiming again after a lost race. Which place may be claimed is `slots.py`.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from google.cloud.bigquery import ArrayQueryParameter, ScalarQueryParameter

from convergence_orchestration.errors import ErrorCode, TransientError
from convergence_orchestration.gcp.bigquery import BigQuery, Parameters
from convergence_orchestration.keys.model import KeyId, KeyRecord
from convergence_orchestration.keys.slots import Slot
from convergence_orchestration.tenancy.model import PLAN_LIMITS, Plan, TenantId, TenantState

_HERE = Path(__file__)
_STANDING = _HERE.with_name("standing.sql").read_text(encoding="utf-8")
_ADD = _HERE.with_name("slots_add.sql").read_text(encoding="utf-8")
_CLAIM = _HERE.with_name("slot_claim.sql").read_text(encoding="utf-8")
_NEVER = datetime(1970, 1, 1, tzinfo=UTC)
_TRIES = 4


@dataclass(frozen=True)
class Standing:
    """Where a tenant stands, and its places for keys."""

    state: TenantState
    plan: Plan
    slots: tuple[Slot, ...]

    @property
    def allowed(self) -> int:
        """How many active keys the plan allows."""
        return PLAN_LIMITS[self.plan].active_keys

    @property
    def places(self) -> tuple[Slot, ...]:
        """The slots, and those that the plan allows and that have no row yet."""
        there = {slot.number for slot in self.slots}
        lacking = (number for number in range(1, self.allowed + 1) if number not in there)
        return (*self.slots, *map(Slot, lacking))


@dataclass(frozen=True)
class Claim:
    """A key to be, whose place it takes, and when; `replaces` is the key that it rotates."""

    tenant_id: TenantId
    key_id: KeyId
    claimed_at: datetime
    replaces: KeyId | None = None


class KeySlots:
    """The places, over one BigQuery. Errors are those of `gcp.bigquery`; NOT_FOUND before the bootstrap."""

    def __init__(self, bigquery: BigQuery) -> None:
        self._bigquery = bigquery

    def standing(self, tenant_id: TenantId) -> Standing | None:
        """Where the tenant stands; None if there is no such tenant."""
        rows = self._bigquery.query(_STANDING, [_text("tenant_id", tenant_id)])
        if not rows:
            return None
        slots = (_slot_of(row) for row in rows[0]["slots"])
        return Standing(TenantState(rows[0]["state"]), Plan(rows[0]["plan"]), tuple(slots))

    def add(self, tenant_id: TenantId, numbers: Iterable[int], key_id: KeyId | None = None) -> None:
        """Make sure that these places are there; a new one is `key_id`'s, or free."""
        parameters: Parameters = [
            _text("tenant_id", tenant_id),
            ArrayQueryParameter("numbers", "INT64", list(numbers)),
            _text("key_id", key_id),
        ]
        self._bigquery.execute(_ADD, parameters)

    def claim(self, slot: Slot, claim: Claim) -> bool:
        """Take the place if it still is as `slot` says; False if somebody was faster."""
        if slot.claimed_at is None:  # it may have no row yet
            self.add(claim.tenant_id, [slot.number], slot.key_id)
        parameters = [
            _text("tenant_id", claim.tenant_id),
            ScalarQueryParameter("slot", "INT64", slot.number),
            _text("key_id", claim.key_id),
            _text("replaces", claim.replaces),
            _time("claimed_at", claim.claimed_at),
            _text("found_key_id", slot.key_id or ""),
            _time("found_claimed_at", slot.claimed_at or _NEVER),
        ]
        return self._bigquery.execute(_CLAIM, parameters) > 0


def claimed(
    slots: KeySlots, choose: Callable[[datetime], Slot | KeyRecord], claim: Callable[[], Claim]
) -> Claim | KeyRecord:
    """The claim made on the place that `choose` reads and decides for at a time, anew after each lost race.

    A record from `choose` is handed on: the key was issued already, and nothing is to be claimed.

    Raises:
        PermanentError: as `choose` refuses.
        TransientError: UNAVAILABLE after many lost races.
    """
    for _ in range(_TRIES):
        made = claim()
        chosen = choose(made.claimed_at)
        if isinstance(chosen, KeyRecord):
            return chosen
        if slots.claim(chosen, made):
            return made
    raise TransientError(
        ErrorCode.UNAVAILABLE,
        f"Try again: too many keys of {made.tenant_id} are asked for at once.",
        {"tenant_id": made.tenant_id},
    )


def _slot_of(row: dict[str, object]) -> Slot:
    key_id, replaces, claimed_at = row["key_id"], row["replaces"], row["claimed_at"]
    return Slot(
        number=int(str(row["slot"])),
        key_id=KeyId(str(key_id)) if key_id else None,
        replaces=KeyId(str(replaces)) if replaces else None,
        claimed_at=claimed_at if isinstance(claimed_at, datetime) else None,
    )


def _text(name: str, value: str | None) -> ScalarQueryParameter:
    return ScalarQueryParameter(name, "STRING", value)


def _time(name: str, value: datetime) -> ScalarQueryParameter:
    return ScalarQueryParameter(name, "TIMESTAMP", value)
