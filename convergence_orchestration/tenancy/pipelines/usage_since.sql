-- The rows of the days from @since to @day, the newest first.
SELECT
  usage_date, pipeline_runs, failed_runs, rows_written, updated_at,
  IFNULL(admitted_runs, []) AS admitted_runs,
  IFNULL(live_runs, []) AS live_runs
FROM usage_daily
WHERE usage_date BETWEEN @since AND @day
ORDER BY usage_date DESC
