-- Every event of every request for one tenant id, deduplicated; the order is made by the reader.
SELECT
  request_id, tenant_id, kind, state, parameters, actor, run_id, reason, error_code, idempotency_key, attempt,
  recorded_at
FROM tenants.tenant_requests_events
WHERE tenant_id = @tenant_id
