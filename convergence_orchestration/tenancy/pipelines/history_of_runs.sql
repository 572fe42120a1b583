-- Every event of some runs; the order is made by the reader.
SELECT
  pipeline_run_id, pipeline, state, parameters, key_id, started_at, finished_at, rows_written, error_code, reason, run_id,
  recorded_at
FROM pipeline_runs
WHERE pipeline_run_id IN UNNEST(@runs)
