-- Every event of one page of runs, the newest runs, or those asked for before the run @before.
SELECT
  pipeline_run_id, pipeline, state, parameters, key_id, started_at, finished_at, rows_written, error_code, reason, run_id,
  recorded_at
FROM pipeline_runs
WHERE pipeline_run_id IN (
  SELECT pipeline_run_id
  FROM pipeline_runs
  GROUP BY pipeline_run_id
  HAVING
    @before = ''
    OR MIN(recorded_at) < (SELECT MIN(recorded_at) FROM pipeline_runs WHERE pipeline_run_id = @before)
    OR (
      MIN(recorded_at) = (SELECT MIN(recorded_at) FROM pipeline_runs WHERE pipeline_run_id = @before)
      AND pipeline_run_id < @before
    )
  ORDER BY MIN(recorded_at) DESC, pipeline_run_id DESC
  LIMIT @page_size
)
