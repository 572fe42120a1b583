-- The row of a day. It runs under a job id that is made from the tenant and the day, so that it runs once.
INSERT INTO usage_daily (
  usage_date, pipeline_runs, failed_runs, api_requests, bytes_processed, slot_ms, rows_written, updated_at
)
VALUES (@day, 0, 0, 0, 0, 0, 0, @now)
