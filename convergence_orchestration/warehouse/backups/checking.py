"""Whether a backup may be restored at all, before any table is looked at.

What belongs here: the questions about the backup, its tenant and what else is going on. Those about a table are `compared.py`.
"""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from google.cloud.bigquery import ScalarQueryParameter

from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.gcp.bigquery import BigQuery
from convergence_orchestration.warehouse.backups.compared import NOTHING_MORE, Permissions
from convergence_orchestration.warehouse.backups.listing import restorable
from convergence_orchestration.warehouse.backups.model import Backup

_IN_FLIGHT: Final = Path(__file__).with_name("requests_in_flight.sql").read_text("utf-8")
_STATE: Final = Path(__file__).with_name("state_of_tenant.sql").read_text("utf-8")


@dataclass(frozen=True)
class Wanted:
    """What is to be restored.

    Attributes:
        backup: its name.
        environment: where it is restored to, which must be where it was taken.
        tenant_id: the tenant whose backup it is, empty for the central tables'.
        tables: their names; none: all.
        despite_requests: restore although requests about tenants are under way.
    """

    backup: str
    environment: str
    tenant_id: str = ""
    tables: tuple[str, ...] = ()
    despite_requests: bool = False
    allowed: Permissions = NOTHING_MORE


def check_confirmed(wanted: Wanted, confirm: str) -> None:
    """Refuse to change anything unless the backup's name was typed twice.

    Raises:
        PermanentError: INVALID_ARGUMENT.
    """
    if confirm != wanted.backup:
        raise PermanentError(
            ErrorCode.INVALID_ARGUMENT,
            f"Type the backup's name once more as `confirm`: it is {wanted.backup}. Nothing was changed.",
        )


def chosen_backup(bigquery: BigQuery, wanted: Wanted, now: datetime) -> Backup:
    """The backup, if it may be restored here.

    Raises:
        PermanentError: NOT_FOUND or FAILED_PRECONDITION as `listing.restorable`; FAILED_PRECONDITION for another
            environment's; INVALID_ARGUMENT for another tenant's; TENANT_NOT_FOUND, TENANT_DELETED.
    """
    backup = restorable(bigquery, wanted.backup, now)
    if backup.environment != wanted.environment:
        raise PermanentError(
            ErrorCode.FAILED_PRECONDITION,
            f"Restore {backup.name} in {backup.environment}, where it was taken: this is {wanted.environment}.",
        )
    if (backup.scope.tenant_id or "") != wanted.tenant_id:
        named = f"tenant {wanted.tenant_id}" if wanted.tenant_id else "no tenant"
        raise PermanentError(
            ErrorCode.INVALID_ARGUMENT,
            f"Correct the tenant or the backup: {backup.name} holds {backup.scope.in_words}, and {named} was named.",
        )
    if wanted.tenant_id:
        _check_tenant(bigquery, backup)
    return backup


def check_nothing_is_under_way(bigquery: BigQuery, wanted: Wanted) -> None:
    """Refuse while requests about tenants are carried out, unless told otherwise.

    Raises:
        PermanentError: REQUEST_IN_PROGRESS.
    """
    if wanted.despite_requests:
        return
    parameters = [ScalarQueryParameter("tenant_id", "STRING", wanted.tenant_id or None)]
    try:
        in_flight = int(bigquery.query(_IN_FLIGHT, parameters)[0]["in_flight"])
    except PermanentError as error:
        if error.code is not ErrorCode.NOT_FOUND:
            raise
        return  # the log of requests is what is to be restored
    if in_flight:
        raise PermanentError(
            ErrorCode.REQUEST_IN_PROGRESS,
            f"Wait until {in_flight} requests about tenants are done (`convergence tenant requests`), or restore "
            "despite them: they write into the tables that would go back.",
        )


def _check_tenant(bigquery: BigQuery, backup: Backup) -> None:
    tenant_id = backup.scope.tenant_id
    rows = bigquery.query(_STATE, [ScalarQueryParameter("tenant_id", "STRING", tenant_id)])
    if not rows:
        raise PermanentError(
            ErrorCode.TENANT_NOT_FOUND, f"Restore the central tables first: there is no tenant {tenant_id}."
        )
    if rows[0]["state"] == "DELETED":
        raise PermanentError(
            ErrorCode.TENANT_DELETED,
            f"Leave it deleted, or read the backup's copies by hand: tenant {tenant_id} was deleted for good.",
        )
    if bigquery.get_dataset(backup.dataset_id) is None:
        raise PermanentError(
            ErrorCode.FAILED_PRECONDITION,
            f"Finish the request that makes tenant {tenant_id} first: the dataset {backup.dataset_id} is its claim "
            "and is not made by a restore.",
        )
