"""What the jobs of keys need of Google, as Dagster resources.

What belongs here: putting the stores together from connections. No field is secret.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, cast

import dagster as dg
from pydantic import Field

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

    def over(self, bigquery: BigQueryConnection, secret_manager: SecretManagerConnection) -> KeyStores:
        """The stores in this BigQuery and this Secret Manager."""
        return KeyStores.over(bigquery.bigquery(), secret_manager.secrets(), Environment(self.environment))


class KeyRevocation(dg.ConfigurableResource["KeyRevocation"]):
    """Revokes every key of a tenant that leaves: what tenancy is handed, which knows nothing of keys."""

    environment: str = Field(description="Where the keys are valid: development, staging or production.")
    secret_manager: SecretManagerConnection

    def __call__(
        self,
        bigquery: BigQuery,
        tenant_id: TenantId,
        *,
        actor: str,
        reason: str,
        request_id: str,
        run_id: str,
        now: datetime,
    ) -> list[KeyId]:
        """Revoke them and wipe their copies for good; repeating it is harmless."""
        stores = KeyStores.over(bigquery, self.secret_manager.secrets(), Environment(self.environment))
        return revoke_all(
            stores, tenant_id, actor=actor, reason=reason, request_id=request_id, run_id=run_id, now=now
        )

    def teardown_after_execution(self, context: dg.InitResourceContext) -> None:
        """Close what revoking opened."""
        self.secret_manager.teardown_after_execution(context)


def key_resources(
    settings: Settings, google: Mapping[str, object]
) -> dict[str, dg.ConfigurableResource[Any]]:
    """The resources `key_stores` and `revoke_keys` for these settings, over `google`'s `secret_manager`."""
    secret_manager = cast("SecretManagerConnection", google["secret_manager"])
    return {
        "key_stores": KeyStoresApi(
            environment=str(settings.environment), max_grace_seconds=settings.key_rotation_max_grace_seconds
        ),
        "revoke_keys": KeyRevocation(environment=str(settings.environment), secret_manager=secret_manager),
    }
