-- Give back a run's place and count what it did; a second time finds no such place and changes nothing.
UPDATE usage_daily
SET
  live_runs = IFNULL(ARRAY(SELECT live FROM UNNEST(live_runs) AS live WHERE live != @run), []),
  failed_runs = failed_runs + @failed,
  rows_written = rows_written + @rows,
  updated_at = @now
WHERE
  usage_date >= @since
  AND EXISTS (SELECT 1 FROM UNNEST(live_runs) AS live WHERE live = @run)
