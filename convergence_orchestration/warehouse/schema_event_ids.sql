-- Ids of what is recorded about the tables of these datasets.
SELECT DISTINCT event_id
FROM tenants.schema_versions
WHERE STARTS_WITH(dataset_id, @dataset_prefix)
