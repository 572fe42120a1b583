-- One subscription a tenant. Of two changes the one that was asked for later counts, whichever is written last.
MERGE tenants.tenant_subscriptions AS subscription
USING (
  SELECT
    entry.tenant_id AS tenant_id,
    entry.plan AS plan,
    entry.status AS status,
    entry.runs_per_day AS runs_per_day,
    entry.concurrent_runs AS concurrent_runs,
    entry.asked_at AS asked_at
  FROM UNNEST(@rows) AS entry
) AS asked
ON subscription.tenant_id = asked.tenant_id
WHEN MATCHED AND subscription.updated_at <= asked.asked_at THEN
  UPDATE SET
    plan = asked.plan,
    status = asked.status,
    runs_per_day = asked.runs_per_day,
    concurrent_runs = asked.concurrent_runs,
    updated_at = asked.asked_at
WHEN NOT MATCHED THEN
  INSERT (tenant_id, plan, status, runs_per_day, concurrent_runs, started_at, updated_at)
  VALUES (
    asked.tenant_id, asked.plan, asked.status, asked.runs_per_day, asked.concurrent_runs, asked.asked_at, asked.asked_at
  )
