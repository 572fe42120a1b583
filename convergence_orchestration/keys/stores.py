"""What is kept of tenants' keys, together: the ledger, the places, the sealed copies.

What belongs here: putting the stores together, once, for runs, the API and tests.
"""

from dataclasses import dataclass
from typing import Self

from convergence_orchestration.audit.model import AuditSink
from convergence_orchestration.gcp.bigquery import BigQuery
from convergence_orchestration.gcp.secrets import Secrets
from convergence_orchestration.keys.copies import SealedCopies
from convergence_orchestration.keys.ledger import KeyLedger
from convergence_orchestration.keys.sealed_store import SealedKeys
from convergence_orchestration.keys.shredding import Shredder
from convergence_orchestration.keys.slot_store import KeySlots
from convergence_orchestration.settings import Environment


@dataclass(frozen=True)
class KeyStores:
    """The stores of one environment's keys."""

    environment: Environment
    ledger: KeyLedger
    slots: KeySlots
    copies: SealedCopies

    @classmethod
    def over(cls, bigquery: BigQuery, secrets: Secrets, environment: Environment, audit: AuditSink) -> Self:
        """The stores in this BigQuery and this Secret Manager; `audit` records each event of the ledger first."""
        return cls(
            environment=environment,
            ledger=KeyLedger(bigquery, audit),
            slots=KeySlots(bigquery),
            copies=SealedCopies(SealedKeys(bigquery), Shredder(secrets, environment)),
        )
