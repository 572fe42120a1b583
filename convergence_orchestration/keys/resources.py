"""What the jobs of keys need of Google, as Dagster resources.

What belongs here: putting the stores together from connections. No field is secret.
"""

from collections.abc import Callable
from typing import Any

import dagster as dg
from pydantic import Field

from convergence_orchestration.audit.model import AuditSink
from convergence_orchestration.gcp.bigquery import BigQuery
from convergence_orchestration.gcp.resources import BigQueryConnection, SecretManagerConnection
from convergence_orchestration.keys.model import KeyId
from convergence_orchestration.keys.revoking import revoke_all
from convergence_orchestration.keys.stores import KeyStores
from convergence_orchestration.settings import Environment, Settings
from convergence_orchestration.tenancy.model import TenantId


class KeyStoresApi(dg.ConfigurableResource["KeyStoresApi"]):
    """The stores of one environment's keys."""

    environment: str = Field(description="Where the keys are valid: development, staging or production.")
    max_grace_seconds: int = Field(description="How long a rotated key may still work, at most.")

    def over(
        self, bigquery: BigQueryConnection, secret_manager: SecretManagerConnection, audit: AuditSink
    ) -> KeyStores:
        """The stores in this BigQuery and this Secret Manager, whose events the run's audit trail records."""
        return KeyStores.over(
            bigquery.bigquery(), secret_manager.secrets(), Environment(self.environment), audit
        )


def key_resources(settings: Settings) -> dict[str, Any]:
    """The resource `key_stores` for these settings, and `revoke_keys`, which tenancy is handed: it knows nothing of keys."""
    stores = KeyStoresApi(
        environment=str(settings.environment), max_grace_seconds=settings.key_rotation_max_grace_seconds
    )
    return {
        "key_stores": stores,
        "revoke_keys": dg.ResourceDefinition(
            _revoke_keys,
            required_resource_keys={"audit", "key_stores", "secret_manager"},
            description="Revokes every key of a tenant that leaves, and wipes their copies for good.",
        ),
    }


def _revoke_keys(context: dg.InitResourceContext) -> Callable[..., list[KeyId]]:
    resources = context.resources

    def revoke(bigquery: BigQuery, tenant_id: TenantId, **asked: Any) -> list[KeyId]:  # noqa: ANN401 as `revoke_all`
        environment = Environment(resources.key_stores.environment)
        stores = KeyStores.over(bigquery, resources.secret_manager.secrets(), environment, resources.audit)
        return revoke_all(stores, tenant_id, **asked)

    return revoke
