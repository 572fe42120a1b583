"""What restoring means for each table: whether rows go back, or only come back where they are missing.

What belongs here: the rules as a table. An event that happened has happened, so nothing is ever taken out of a log: a key
that was revoked after the backup stays revoked, and the chains of the audit log stay whole.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.warehouse.model import TableSpec

KEY_LEDGER: Final = "api_key_events"
"""The table whose events decide which keys are let in."""


class Way(StrEnum):
    """How a backup's rows come into a table; rows whose keys the backup lacks stay in any case."""

    EVENTS = "missing events are put back"
    ROWS = "missing rows are put back"
    BACK = "rows go back to what they were"


@dataclass(frozen=True)
class Rule:
    """How one table is restored.

    Attributes:
        keys: the columns that identify a row.
        final_column, final: a row in which the column says this stays as it is, for it cannot be undone.
    """

    way: Way
    keys: tuple[str, ...]
    final_column: str
    final: str | None = None


_CURRENT: Final[Mapping[str, Rule]] = {
    # a tenant that was deleted since has no dataset any more; one that was made since has one
    "tenant_profiles": Rule(Way.BACK, ("tenant_id",), "state", "DELETED"),
    "tenant_subscriptions": Rule(Way.BACK, ("tenant_id",), "status", "ENDED"),
    "tenant_usage_quotas": Rule(Way.BACK, ("tenant_id",), "tenant_id"),
    # places must fit the ledger of keys, which does not go back
    "key_slots": Rule(Way.ROWS, ("tenant_id", "slot"), "tenant_id"),
    # what was used was used: a day that went back would give its runs a second time
    "usage_daily": Rule(Way.ROWS, ("usage_date",), "usage_date"),
    "cost_billing": Rule(Way.ROWS, ("billing_date", "service", "sku"), "service"),
}


def rule_of(spec: TableSpec) -> Rule:
    """How a declared table is restored.

    Raises:
        PermanentError: INVALID_CATALOGUE for a table of current rows without a rule.
    """
    if spec.labels.get("rows") == "events":
        return Rule(Way.EVENTS, ("event_id",), "event_id")
    rule = _CURRENT.get(spec.name)
    if rule is None:
        raise PermanentError(
            ErrorCode.INVALID_CATALOGUE,
            f"Add a rule for {spec.name} to warehouse/backups/rules.py: nobody knows what restoring it means.",
        )
    return rule
