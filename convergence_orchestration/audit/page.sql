-- The newest rows, once each, behind the last one shown; an empty text filters nothing.
SELECT
  event_id, action, actor_kind, actor, target_kind, target_id, tenant_id, outcome, error_code, method, path, status_code,
  source_address, details, environment, request_id, run_id, writer_id, sequence, previous_hash, row_hash, recorded_at
FROM tenants.audit_log
WHERE recorded_at >= @since
  AND recorded_at < @until
  AND recorded_at <= @before_time
  AND (recorded_at < @before_time OR event_id < @before_event_id)
  AND (@tenant_id = '' OR tenant_id = @tenant_id)
  AND (@actor = '' OR actor = @actor)
  AND (@action = '' OR action = @action)
  AND (@outcome = '' OR outcome = @outcome)
QUALIFY ROW_NUMBER() OVER (PARTITION BY event_id, row_hash ORDER BY recorded_at) = 1
ORDER BY recorded_at DESC, event_id DESC
LIMIT @page_size
