from convergence_orchestration.gcp.bigquery import BigQuery
from convergence_orchestration.gcp.kms import Kms
from convergence_orchestration.keys.issuing import issue
from convergence_orchestration.keys.model import KeyId, new_key_id
from convergence_orchestration.keys.stores import KeyStores
from convergence_orchestration.settings import Settings
from convergence_orchestration.tenancy.model import TenantId
from convergence_orchestration_tests.keys.builders import at, new_key, seconds
from convergence_orchestration_tests.keys.revocation import revoker


def test_a_tenant_that_leaves_has_no_key_and_nothing_that_opens_a_copy(
    project: Settings, bigquery: BigQuery, stores: KeyStores, kms: Kms, tenant_id: TenantId, key_id: KeyId
) -> None:
    issue(stores, kms, new_key(key_id, tenant_id), at(0))
    stores.copies.shredder.make(tenant_id, new_key_id())  # of a key that was never issued

    for _ in range(2):  # at offboarding, and at deletion again
        revoker(project)(
            bigquery,
            tenant_id,
            actor="somebody",
            reason="The tenant leaves.",
            request_id="request",
            run_id="run",
            now=seconds(1),
        )

    assert stores.ledger.active_for(tenant_id, seconds(1)) == []
    assert stores.copies.store.get(key_id) is None
    assert stores.copies.shredder.of_tenant(tenant_id) == []
