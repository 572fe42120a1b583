"""The sealed copies of keys not yet delivered: `tenants.sealed_keys`, written and deleted by DML, never streamed.

What belongs here: the statements on that table. What is sealed and when it is wiped is decided elsewhere.
"""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from google.cloud.bigquery import ArrayQueryParameter, Row, ScalarQueryParameter

from convergence_orchestration.gcp.bigquery import BigQuery
from convergence_orchestration.keys.model import KeyId
from convergence_orchestration.settings import Environment
from convergence_orchestration.tenancy.model import TenantId
from convergence_orchestration.warehouse.catalogue import central_tables, to_bigquery
from convergence_orchestration.warehouse.model import CENTRAL_DATASET

_HERE = Path(__file__)
_INSERT = _HERE.with_name("sealed_insert.sql").read_text(encoding="utf-8")
_SELECT = _HERE.with_name("sealed_select.sql").read_text(encoding="utf-8")
_DELETE = _HERE.with_name("sealed_delete.sql").read_text(encoding="utf-8")
_DELETE_TENANT = _HERE.with_name("sealed_delete_tenant.sql").read_text(encoding="utf-8")
_RESEAL = _HERE.with_name("sealed_reseal.sql").read_text(encoding="utf-8")
_TABLE = "sealed_keys"


@dataclass(frozen=True)
class SealedKey:
    """A key's sealed copy and what it is bound to; `sealed_at` is UTC.

    `is_repeatable`: the key was asked for with an Idempotency-Key, and may be handed over again for ten minutes.
    """

    key_id: KeyId
    tenant_id: TenantId
    environment: Environment
    ciphertext: bytes
    sealed_at: datetime
    kms_key_version: str | None = None
    is_repeatable: bool = False


@dataclass(frozen=True)
class CopyFacts:
    """What is known of a copy without reading it; `sealed_at` is UTC."""

    key_id: KeyId
    tenant_id: TenantId
    environment: Environment
    sealed_at: datetime
    kms_key_version: str | None = None
    is_repeatable: bool = False


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
                _bytes("ciphertext", sealed.ciphertext),
                _text("kms_key_version", sealed.kms_key_version),
                ScalarQueryParameter("sealed_at", "TIMESTAMP", sealed.sealed_at),
                ScalarQueryParameter("repeatable", "BOOL", sealed.is_repeatable),
            ],
        )
        return inserted > 0

    def get(self, key_id: KeyId) -> SealedKey | None:
        """The copy, or None if it was wiped or never stored; the same one for everybody should there ever be two."""
        return next(iter(self.of_key(key_id)), None)

    def of_key(self, key_id: KeyId) -> list[SealedKey]:
        """The key's copies: one, or two should two statements ever have stored theirs side by side."""
        return [_copy_of(row) for row in self._bigquery.query(_SELECT, [_text("key_id", key_id)])]

    def all(self) -> list[CopyFacts]:
        """Every copy there is, by tabledata.list, which is free; without the ciphertext."""
        (spec,) = (table for table in central_tables() if table.name == _TABLE)
        schema = to_bigquery(spec, self._bigquery.project, CENTRAL_DATASET).schema
        columns = [field for field in schema if field.name != "ciphertext"]
        return [_facts_of(row) for row in self._bigquery.list_rows(CENTRAL_DATASET, _TABLE, columns)]

    def reseal(self, copy: SealedKey, ciphertext: bytes, kms_key_version: str) -> bool:
        """Put another ciphertext in the place of `copy`'s; False if the copy is no longer as it was read."""
        parameters = [
            _text("key_id", copy.key_id),
            _bytes("found", copy.ciphertext),
            _bytes("ciphertext", ciphertext),
            _text("kms_key_version", kms_key_version),
        ]
        return self._bigquery.execute(_RESEAL, parameters) > 0

    def wipe(self, *key_ids: KeyId) -> bool:
        """Delete the copies; True for the one caller whose statement deleted any."""
        wanted = ArrayQueryParameter("key_ids", "STRING", list(key_ids))
        return self._bigquery.execute(_DELETE, [wanted]) > 0

    def wipe_tenant(self, tenant_id: TenantId) -> None:
        """Delete every copy of the tenant."""
        self._bigquery.execute(_DELETE_TENANT, [_text("tenant_id", tenant_id)])


def _copy_of(row: Row) -> SealedKey:
    return SealedKey(
        key_id=KeyId(row["key_id"]),
        tenant_id=TenantId(row["tenant_id"]),
        environment=Environment(row["environment"]),
        ciphertext=row["ciphertext"],
        sealed_at=row["sealed_at"],
        kms_key_version=row["kms_key_version"],
        is_repeatable=bool(row["repeatable"]),
    )


def _facts_of(row: Row) -> CopyFacts:
    return CopyFacts(
        key_id=KeyId(row["key_id"]),
        tenant_id=TenantId(row["tenant_id"]),
        environment=Environment(row["environment"]),
        sealed_at=row["sealed_at"],
        kms_key_version=row["kms_key_version"],
        is_repeatable=bool(row["repeatable"]),
    )


def _text(name: str, value: str | None) -> ScalarQueryParameter:
    return ScalarQueryParameter(name, "STRING", value)


def _bytes(name: str, value: bytes) -> ScalarQueryParameter:
    return ScalarQueryParameter(name, "BYTES", value)  # type: ignore[arg-type] # its stub forgets bytes
