"""What other domains' runs need of keys, as Dagster resources.

What belongs here: binding functions of this domain to the run's audit trail. The domains do not know each other.
"""

from functools import partial
from typing import Any

import dagster as dg

from convergence_orchestration.keys.revoking import revoke_all


def key_resources() -> dict[str, dg.ResourceDefinition]:
    """The resource `revoke_keys`, which needs `audit`."""
    return {"revoke_keys": dg.ResourceDefinition(_revoke_keys, required_resource_keys={"audit"})}


def _revoke_keys(context: dg.InitResourceContext) -> "partial[Any]":
    return partial(revoke_all, audit=context.resources.audit)
