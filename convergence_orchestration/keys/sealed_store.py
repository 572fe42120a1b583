"""The sealed copies of keys not yet delivered: `tenants.sealed_keys`, written and deleted by DML, never streamed.

What belongs here: the three statements on that table. What is sealed and when it is wiped is decided elsewhere.
"""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from google.cloud.bigquery import ScalarQueryParameter

from convergence_orchestration.gcp.bigquery import BigQuery
from convergence_orchestration.keys.model import KeyId
from convergence_orchestration.settings import Environment
from convergence_orchestration.tenancy.model import TenantId

_HERE = Path(__file__)
_INSERT = _HERE.with_name("sealed_insert.sql").read_text(encoding="utf-8")
_SELECT = _HERE.with_name("sealed_select.sql").read_text(encoding="utf-8")
_DELETE = _HERE.with_name("sealed_delete.sql").read_text(encoding="utf-8")


@dataclass(frozen=True)
class SealedKey:
    """A key's sealed copy and what it is bound to; `sealed_at` is UTC."""

    key_id: KeyId
    tenant_id: TenantId
    environment: Environment
    ciphertext: bytes
    sealed_at: datetime
    kms_key_version: str | None = None


class SealedKeys:
    """The sealed copies, over one BigQuery. Errors are those of `gcp.bigquery`; NOT_FOUND before the bootstrap."""

    def __init__(self, bigquery: BigQuery) -> None:
        self._bigquery = bigquery

    def insert(self, sealed: SealedKey) -> bool:
        """Store the copy unless one of this key is stored already; True if this call stored it."""
        inserted = self._bigquery.execute(
            _INSERT,
            [
                _text("key_id", sealed.key_id),
                _text("tenant_id", sealed.tenant_id),
                _text("environment", str(sealed.environment)),
                ScalarQueryParameter("ciphertext", "BYTES", sealed.ciphertext),  # type: ignore[arg-type] # its stub forgets bytes
                _text("kms_key_version", sealed.kms_key_version),
                ScalarQueryParameter("sealed_at", "TIMESTAMP", sealed.sealed_at),
            ],
        )
        return inserted > 0

    def get(self, key_id: KeyId) -> SealedKey | None:
        """The copy, or None if it was wiped or never stored."""
        rows = self._bigquery.query(_SELECT, [_text("key_id", key_id)])
        if not rows:
            return None
        row = rows[0]
        return SealedKey(
            key_id=KeyId(row["key_id"]),
            tenant_id=TenantId(row["tenant_id"]),
            environment=Environment(row["environment"]),
            ciphertext=row["ciphertext"],
            sealed_at=row["sealed_at"],
            kms_key_version=row["kms_key_version"],
        )

    def wipe(self, key_id: KeyId) -> bool:
        """Delete the copy; True for the one caller whose statement deleted it."""
        return self._bigquery.execute(_DELETE, [_text("key_id", key_id)]) > 0


def _text(name: str, value: str | None) -> ScalarQueryParameter:
    return ScalarQueryParameter(name, "STRING", value)
