-- One row of limits a tenant. Of two changes the one that was asked for later counts, whichever is written last.
MERGE tenants.tenant_usage_quotas AS quota
USING (
  SELECT
    entry.tenant_id AS tenant_id,
    entry.runs_per_day AS runs_per_day,
    entry.concurrent_runs AS concurrent_runs,
    entry.requests_per_minute AS requests_per_minute,
    entry.requests_per_hour AS requests_per_hour,
    entry.asked_at AS asked_at
  FROM UNNEST(@rows) AS entry
) AS asked
ON quota.tenant_id = asked.tenant_id
WHEN MATCHED AND quota.updated_at <= asked.asked_at THEN
  UPDATE SET
    runs_per_day = asked.runs_per_day,
    concurrent_runs = asked.concurrent_runs,
    requests_per_minute = asked.requests_per_minute,
    requests_per_hour = asked.requests_per_hour,
    updated_at = asked.asked_at
WHEN NOT MATCHED THEN
  INSERT (tenant_id, runs_per_day, concurrent_runs, requests_per_minute, requests_per_hour, updated_at)
  VALUES (
    asked.tenant_id, asked.runs_per_day, asked.concurrent_runs, asked.requests_per_minute, asked.requests_per_hour,
    asked.asked_at
  )
