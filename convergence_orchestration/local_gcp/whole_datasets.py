"""Datasets that are there with everything that was said of them, or not at all, whenever local-bigquery is killed.

It makes a dataset in its catalogue and writes its labels into another database afterwards. Killed in between, it would have a
dataset without labels, which looks like one that nobody of this platform made. What belongs here: the other order, in which the
catalogue comes last and decides. The real service makes both at once.
"""

from typing import Any


def create_whole(project_id: str, body: Any) -> Any:  # noqa: ANN401 local-bigquery's models
    """`local_bigquery.catalog.datasets.create`, the other way round; what was written for a dataset that never came is overwritten."""
    from local_bigquery.catalog import datasets, names  # noqa: PLC0415 after the extensions
    from local_bigquery.engine import database  # noqa: PLC0415
    from local_bigquery.errors import BigQueryError, already_exists  # noqa: PLC0415

    dataset_id = body.datasetReference and body.datasetReference.datasetId
    if not dataset_id:
        raise BigQueryError("invalid", "Required parameter is missing: datasetId")
    names.dataset(dataset_id)
    database.attach(project_id)
    if datasets.exists(project_id, dataset_id):
        raise already_exists("Dataset", f"{project_id}:{dataset_id}")
    recorded = datasets.record(project_id, dataset_id, body)
    database.execute(f"CREATE SCHEMA {database.quote(project_id, dataset_id)}")
    return recorded
