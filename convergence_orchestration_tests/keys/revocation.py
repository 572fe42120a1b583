"""What tenancy is handed to revoke keys with, for the emulators of these settings."""

from functools import partial

from convergence_orchestration.gcp.bigquery import BigQuery
from convergence_orchestration.gcp.clients import secret_manager_client
from convergence_orchestration.gcp.secrets import Secrets
from convergence_orchestration.keys.model import KeyId
from convergence_orchestration.keys.revoking import revoke_all
from convergence_orchestration.keys.stores import KeyStores
from convergence_orchestration.settings import Settings
from convergence_orchestration.tenancy.changes import KeyRevoker
from convergence_orchestration.tenancy.model import TenantId
from convergence_orchestration_tests.keys.builders import AUDIT


def revoker(settings: Settings) -> KeyRevoker:
    secrets = Secrets(secret_manager_client(settings), settings.gcp_project_id)
    return partial(_revoke_all, secrets, settings)


def _revoke_all(
    secrets: Secrets, settings: Settings, bigquery: BigQuery, tenant_id: TenantId, **asked: object
) -> list[KeyId]:
    stores = KeyStores.over(bigquery, secrets, settings.environment, AUDIT)
    return revoke_all(stores, tenant_id, **asked)  # type: ignore[arg-type] # as KeyRevoker says
