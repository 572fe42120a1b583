-- Every event of tenant_requests once, also where an append was repeated.
SELECT
  event_id,
  request_id,
  tenant_id,
  kind,
  state,
  parameters,
  actor,
  run_id,
  reason,
  error_code,
  idempotency_key,
  batch_id,
  attempt,
  recorded_at
FROM tenants.tenant_requests
-- tenant and request are the same in every copy of an event; naming them lets a filter on them reach the table
QUALIFY ROW_NUMBER() OVER (PARTITION BY tenant_id, request_id, event_id ORDER BY recorded_at) = 1
