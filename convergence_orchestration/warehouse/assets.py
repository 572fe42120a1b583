"""The central tables as Dagster assets.

What belongs here: what Dagster shows and asks. What is done is in `bootstrap.py`.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import dagster as dg
from pydantic import Field

from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.gcp.bigquery import BigQuery
from convergence_orchestration.gcp.resources import BigQueryConnection, reported_failures
from convergence_orchestration.warehouse.bootstrap import (
    NOTHING_REMOVED,
    Action,
    Removed,
    TableOutcome,
    ensure_dataset,
    ensure_tables,
    remove_dataset,
    remove_tables,
)
from convergence_orchestration.warehouse.catalogue import central_tables as declared_tables
from convergence_orchestration.warehouse.model import CENTRAL_DATASET, ColumnMode, TableSpec

CENTRAL_GROUP = "central"

DATASET_KEY = dg.AssetKey([CENTRAL_DATASET, "dataset"])


class CentralTablesConfig(dg.Config):
    """What the launchpad asks. As it stands, whatever is missing is made and whatever is there stays as it is."""

    force_recreate_dataset: bool = Field(
        default=False,
        description=(
            "Delete the dataset `tenants` with everything in it and make it anew, empty. A snapshot of every table is "
            "taken into `tenants_snapshots` first and kept for 30 days; without it nothing is deleted. All central "
            "tables have to be selected. BigQuery may refuse appends to the new tables for some minutes."
        ),
    )
    force_recreate_tables: bool = Field(
        default=False,
        description=(
            "Delete the selected tables and make them anew, empty, as the catalogue declares them now. A snapshot of "
            "each is taken into `tenants_snapshots` first and kept for 30 days; without it nothing is deleted. The "
            "step before restoring rows when a schema is rolled back."
        ),
    )


def table_key(spec: TableSpec) -> dg.AssetKey:
    """The asset of a central table."""
    return dg.AssetKey([CENTRAL_DATASET, spec.name])


def column_schema(spec: TableSpec) -> dg.TableSchema:
    """A declared table's columns as Dagster shows them."""
    return dg.TableSchema(
        columns=[
            _column(column.name, column.type, column.mode, column.description) for column in spec.columns
        ]
    )


def shown_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> dg.TableMetadataValue:
    """Rows of text as Dagster shows a table."""
    return dg.TableMetadataValue(
        records=[dg.TableRecord(dict(zip(columns, row, strict=True))) for row in rows],
        schema=dg.TableSchema(columns=[dg.TableColumn(name) for name in columns]),
    )


def _column(name: str, kind: str, mode: ColumnMode, description: str) -> dg.TableColumn:
    shown = f"ARRAY<{kind}>" if mode is ColumnMode.REPEATED else str(kind)
    return dg.TableColumn(
        name=name,
        type=shown,
        description=description,
        constraints=dg.TableColumnConstraints(nullable=mode is not ColumnMode.REQUIRED),
    )


def _specs() -> list[dg.AssetSpec]:
    dataset = dg.AssetSpec(
        DATASET_KEY,
        group_name=CENTRAL_GROUP,
        kinds={"bigquery"},
        skippable=True,
        description="The BigQuery dataset `tenants`, which holds the platform's own tables and the views over them.",
    )
    return [dataset, *(_table_spec(spec) for spec in declared_tables())]


def _table_spec(spec: TableSpec) -> dg.AssetSpec:
    return dg.AssetSpec(
        table_key(spec),
        deps=[DATASET_KEY],
        group_name=CENTRAL_GROUP,
        kinds={"bigquery", "table"},
        skippable=True,
        description=spec.description,
        metadata={
            "dagster/column_schema": column_schema(spec),
            "dagster/table_name": f"{CENTRAL_DATASET}.{spec.name}",
            "dagster/storage_kind": "bigquery",
        },
    )


@dg.multi_asset(
    name="central_tables",
    specs=_specs(),
    can_subset=True,
    description=(
        "Makes the dataset `tenants`, its tables and its views where they are missing; what exists stays as it is "
        "unless force_recreate_* is set."
    ),
)
def central_tables(
    context: dg.AssetExecutionContext, config: CentralTablesConfig, bigquery: BigQueryConnection
) -> Iterator[dg.MaterializeResult[None]]:
    """The whole bootstrap of the warehouse, or the selected part of it."""
    selected = context.selected_asset_keys
    specs = [spec for spec in declared_tables() if table_key(spec) in selected]
    with reported_failures():
        client = bigquery.bigquery()
        removed = _removed(context, client, config, specs)
        dataset_action = ensure_dataset(client, removed)
        context.log.info("Dataset %s %s.", CENTRAL_DATASET, dataset_action)
        if DATASET_KEY in selected:
            yield _dataset_result(client, dataset_action, removed)
        for outcome in ensure_tables(client, specs, removed):
            context.log.info(_sentence(outcome))
            yield _table_result(client, outcome)


def _removed(
    context: dg.AssetExecutionContext,
    bigquery: BigQuery,
    config: CentralTablesConfig,
    specs: Sequence[TableSpec],
) -> Removed:
    """Delete what the config says is to be made anew; snapshots first."""
    now = datetime.now(UTC)
    if config.force_recreate_dataset:
        _check_all_is_selected(context)
        removed = remove_dataset(bigquery, now)
    elif config.force_recreate_tables:
        removed = remove_tables(bigquery, [spec.name for spec in specs], now)
    else:
        return NOTHING_REMOVED
    for table, snapshot in removed.snapshots.items():
        context.log.warning(
            "Deleted %s.%s; its rows are in %s for 30 days.", CENTRAL_DATASET, table, snapshot
        )
    undeclared = removed.tables - {spec.name for spec in declared_tables()}
    if undeclared:
        context.log.warning("Not declared, so not made anew: %s.", ", ".join(sorted(undeclared)))
    return removed


def _check_all_is_selected(context: dg.AssetExecutionContext) -> None:
    missing = {DATASET_KEY, *(table_key(spec) for spec in declared_tables())} - context.selected_asset_keys
    if missing:
        raise PermanentError(
            ErrorCode.INVALID_ARGUMENT,
            "Select every central table and the dataset for force_recreate_dataset, or use force_recreate_tables "
            f"for some: {len(missing)} would be deleted and not made anew.",
            {"not_selected": sorted(key.to_user_string() for key in missing)},
        )


def _dataset_result(bigquery: BigQuery, action: Action, removed: Removed) -> dg.MaterializeResult[None]:
    metadata: dict[str, Any] = {
        "action": action.value,
        "location": bigquery.location,
        "link": dg.MetadataValue.url(bigquery.console_url(CENTRAL_DATASET)),
    }
    if removed.snapshots:
        metadata["snapshots"] = dg.MetadataValue.json(dict(removed.snapshots))
    return dg.MaterializeResult(asset_key=DATASET_KEY, metadata=metadata)


def _table_result(bigquery: BigQuery, outcome: TableOutcome) -> dg.MaterializeResult[None]:
    spec = outcome.spec
    metadata: dict[str, Any] = {
        "action": outcome.action.value,
        "link": dg.MetadataValue.url(bigquery.console_url(CENTRAL_DATASET, spec.name)),
        "dagster/row_count": outcome.rows,
        "dagster/column_schema": column_schema(spec),
        "dagster/table_name": f"{bigquery.project}.{CENTRAL_DATASET}.{spec.name}",
    }
    if outcome.views:
        metadata["views"] = ", ".join(outcome.views)
    if outcome.snapshot:
        metadata["snapshot"] = outcome.snapshot
    return dg.MaterializeResult(asset_key=table_key(spec), metadata=metadata)


def _sentence(outcome: TableOutcome) -> str:
    views = f", with the views {', '.join(outcome.views)}" if outcome.views else ""
    return f"Table {CENTRAL_DATASET}.{outcome.spec.name} {outcome.action}{views}."


def warehouse_assets() -> list[dg.AssetsDefinition]:
    """What `definitions.py` merges."""
    return [central_tables]
