-- Every event of some requests, deduplicated; the order is made by the reader.
SELECT
  request_id, tenant_id, kind, state, parameters, actor, run_id, reason, error_code, idempotency_key, batch_id, attempt,
  recorded_at
FROM tenants.tenant_requests_events
WHERE request_id IN UNNEST(@request_ids)
