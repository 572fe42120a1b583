-- One row of limits a tenant.
MERGE tenants.tenant_usage_quotas AS quota
USING (SELECT @tenant_id AS tenant_id) AS asked
ON quota.tenant_id = asked.tenant_id
WHEN MATCHED THEN
  UPDATE SET
    runs_per_day = @runs_per_day,
    concurrent_runs = @concurrent_runs,
    requests_per_minute = @requests_per_minute,
    requests_per_hour = @requests_per_hour,
    updated_at = @now
WHEN NOT MATCHED THEN
  INSERT (tenant_id, runs_per_day, concurrent_runs, requests_per_minute, requests_per_hour, updated_at)
  VALUES (@tenant_id, @runs_per_day, @concurrent_runs, @requests_per_minute, @requests_per_hour, @now)
