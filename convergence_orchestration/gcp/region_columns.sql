-- Every column in these datasets of a location (none named: in all that start so), the columns of one table together.
SELECT
  table_schema, table_name, column_name, data_type, is_nullable, is_partitioning_column, clustering_ordinal_position
FROM `{region}`.INFORMATION_SCHEMA.COLUMNS
WHERE
  STARTS_WITH(table_schema, @prefix)
  AND (ARRAY_LENGTH(@datasets) = 0 OR table_schema IN UNNEST(@datasets))
ORDER BY table_schema, table_name, ordinal_position
