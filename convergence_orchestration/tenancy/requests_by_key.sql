-- Every event of the requests that were asked for with a caller's Idempotency-Key, deduplicated.
SELECT
  request_id, tenant_id, kind, state, parameters, actor, run_id, reason, error_code, idempotency_key, batch_id, attempt,
  recorded_at
FROM tenants.tenant_requests_events
WHERE
  request_id IN (
    SELECT request_id
    FROM tenants.tenant_requests
    WHERE idempotency_key = @idempotency_key AND kind = @kind AND actor = @actor
  )
