-- Make a run that never began as if it had not been asked for.
UPDATE usage_daily
SET
  pipeline_runs = pipeline_runs - 1,
  admitted_runs = IFNULL(ARRAY(SELECT admitted FROM UNNEST(admitted_runs) AS admitted WHERE admitted != @run), []),
  live_runs = IFNULL(ARRAY(SELECT live FROM UNNEST(live_runs) AS live WHERE live != @run), []),
  updated_at = @now
WHERE
  usage_date >= @since
  AND EXISTS (SELECT 1 FROM UNNEST(live_runs) AS live WHERE live = @run)
