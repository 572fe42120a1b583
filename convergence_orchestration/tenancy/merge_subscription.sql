-- One subscription a tenant.
MERGE tenants.tenant_subscriptions AS subscription
USING (SELECT @tenant_id AS tenant_id) AS asked
ON subscription.tenant_id = asked.tenant_id
WHEN MATCHED THEN
  UPDATE SET
    plan = @plan,
    status = @status,
    runs_per_day = @runs_per_day,
    concurrent_runs = @concurrent_runs,
    updated_at = @now
WHEN NOT MATCHED THEN
  INSERT (tenant_id, plan, status, runs_per_day, concurrent_runs, started_at, updated_at)
  VALUES (@tenant_id, @plan, @status, @runs_per_day, @concurrent_runs, @now, @now)
