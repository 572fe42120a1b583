-- Every row that opened a chain: its details anchor the heads of others.
SELECT
  event_id, action, actor_kind, actor, target_kind, target_id, tenant_id, outcome, error_code, method, path, status_code,
  source_address, details, environment, request_id, run_id, writer_id, sequence, previous_hash, row_hash, recorded_at
FROM tenants.audit_log
WHERE action = 'audit.opened'
