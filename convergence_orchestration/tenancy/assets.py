"""The tenants' tables as assets: one asset a table, one partition a tenant.

What belongs here: what Dagster shows of a tenant's tables. How they are made is `provisioning.py`; a tenant itself
comes into being by a request (`jobs.py`), which adds its partition.
"""

from collections.abc import Iterator, Mapping

import dagster as dg

from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.gcp.bigquery import BigQuery
from convergence_orchestration.gcp.resources import BigQueryConnection, reported_failures
from convergence_orchestration.tenancy.model import Tenant, TenantId, TenantState, parse_tenant_id
from convergence_orchestration.tenancy.provisioning import Provisioning
from convergence_orchestration.tenancy.registry import Tenants
from convergence_orchestration.tenancy.resources import TenantRequestsApi
from convergence_orchestration.warehouse.assets import column_schema
from convergence_orchestration.warehouse.catalogue import tenant_tables
from convergence_orchestration.warehouse.model import TableSpec, tenant_dataset

tenants_partitions = dg.DynamicPartitionsDefinition(name="tenants")
_GONE = frozenset({TenantState.OFFBOARDING, TenantState.DELETED})


def tenant_assets() -> list[dg.AssetsDefinition]:
    """The assets of this domain: a multi-asset of which any table can be chosen."""

    @dg.multi_asset(
        name="tenant_tables",
        specs=[_asset_spec(spec) for spec in tenant_tables()],
        partitions_def=tenants_partitions,
        can_subset=True,
        description="Makes sure that the chosen tables of the chosen tenant exist as declared; nothing is deleted.",
    )
    def ensure_tenant_tables(
        context: dg.AssetExecutionContext, bigquery: BigQueryConnection, tenant_requests: TenantRequestsApi
    ) -> Iterator[dg.MaterializeResult[None]]:
        with reported_failures():
            warehouse = bigquery.bigquery()
            tenant = _existing(warehouse, parse_tenant_id(context.partition_key))
            chosen = [spec for spec in tenant_tables() if asset_key(spec.name) in context.selected_asset_keys]
            created = Provisioning(warehouse, tenant_requests.limits).ensure_tables(tenant.tenant_id, chosen)
            shown = {
                spec.name: {
                    **table_metadata(warehouse, tenant.tenant_id, spec, created=created[spec.name]),
                    "dagster/row_count": dg.MetadataValue.int(
                        warehouse.count_rows(tenant.dataset_id, spec.name)
                    ),
                }
                for spec in chosen
            }
        for name, metadata in shown.items():
            yield dg.MaterializeResult(asset_key=asset_key(name), metadata=metadata)

    return [ensure_tenant_tables]


def asset_key(table: str) -> dg.AssetKey:
    """The asset of a tenants' table."""
    return dg.AssetKey(["tenant", table])


def table_metadata(
    bigquery: BigQuery, tenant_id: TenantId, spec: TableSpec, *, created: bool
) -> Mapping[str, dg.MetadataValue | dg.TableSchema | str]:
    """What a materialization of a tenant's table shows: what was done, and where it is. It asks nobody."""
    dataset_id = tenant_dataset(tenant_id)
    return {
        "action": dg.MetadataValue.text("created" if created else "existed"),
        "dataset": dg.MetadataValue.text(dataset_id),
        "link": dg.MetadataValue.url(bigquery.console_url(dataset_id, spec.name)),
        "dagster/table_name": f"{bigquery.project}.{dataset_id}.{spec.name}",
    }


def _asset_spec(spec: TableSpec) -> dg.AssetSpec:
    return dg.AssetSpec(
        asset_key(spec.name),
        description=spec.description,
        group_name="tenant",
        kinds={"bigquery", "table"},
        skippable=True,
        metadata={"dagster/column_schema": column_schema(spec), "dagster/storage_kind": "bigquery"},
    )


def _existing(bigquery: BigQuery, tenant_id: TenantId) -> Tenant:
    tenant = Tenants(bigquery).get(tenant_id)
    if tenant is None:
        raise PermanentError(
            ErrorCode.TENANT_NOT_FOUND,
            f"Onboard {tenant_id} first with the job `onboard_tenant`: there is no such tenant.",
            {"tenant_id": tenant_id},
        )
    if tenant.state in _GONE:
        raise PermanentError(
            ErrorCode.TENANT_NOT_ACTIVE,
            f"Choose another partition: {tenant_id} is {tenant.state} and gets no tables.",
            {"tenant_id": tenant_id, "state": str(tenant.state)},
        )
    return tenant
