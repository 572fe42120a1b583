-- Count a run and give it a place, if the day has a run left, a place is free and the run is not counted yet: all of it is
-- one statement, and BigQuery lets one change of a table go after the other. Yesterday's row is written too, unchanged
-- but for updated_at: around midnight, processes whose clocks differ then cannot both take the last place.
UPDATE usage_daily
SET
  pipeline_runs = IF(usage_date = @day, pipeline_runs + 1, pipeline_runs),
  admitted_runs = IF(usage_date = @day, ARRAY_CONCAT(IFNULL(admitted_runs, []), [@run]), admitted_runs),
  live_runs = IF(usage_date = @day, ARRAY_CONCAT(IFNULL(live_runs, []), [@run]), live_runs),
  updated_at = @now
WHERE
  usage_date BETWEEN DATE_SUB(@day, INTERVAL 1 DAY) AND @day
  AND EXISTS (
    SELECT 1 FROM usage_daily AS today WHERE today.usage_date = @day AND today.pipeline_runs < @runs_per_day
  )
  AND @concurrent_runs > (
    SELECT SUM(IFNULL(ARRAY_LENGTH(each_day.live_runs), 0))
    FROM usage_daily AS each_day
    WHERE each_day.usage_date >= @since
  )
  AND NOT EXISTS (
    SELECT 1
    FROM usage_daily AS each_day, UNNEST(each_day.admitted_runs) AS admitted
    WHERE each_day.usage_date >= @since AND admitted = @run
  )
