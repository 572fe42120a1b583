-- The rows of the days from @since on, the newest first. A process whose clock is behind sees the day that began already.
SELECT
  usage_date, pipeline_runs, failed_runs, rows_written, updated_at,
  IFNULL(admitted_runs, []) AS admitted_runs,
  IFNULL(live_runs, []) AS live_runs
FROM usage_daily
WHERE usage_date >= @since
ORDER BY usage_date DESC
