-- Every event of every request for some tenant ids, deduplicated; the order is made by the reader.
SELECT
  request_id, tenant_id, kind, state, parameters, actor, run_id, reason, error_code, idempotency_key, batch_id, attempt,
  recorded_at
FROM tenants.tenant_requests_events
WHERE tenant_id IN UNNEST(@tenant_ids)
