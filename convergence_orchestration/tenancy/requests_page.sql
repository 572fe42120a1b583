-- One page of the requests, the newest first, behind the last one of the page before; an empty filter filters nothing.
SELECT
  request_id, tenant_id, kind, state, parameters, actor, run_id, reason, error_code, attempt, batch_id,
  requested_at, updated_at
FROM tenants.tenant_requests_current
WHERE
  parameters IS NOT NULL
  AND (@tenant_id = '' OR tenant_id = @tenant_id)
  AND (@state = '' OR state = @state)
  AND (@kind = '' OR kind = @kind)
  AND (@batch_id = '' OR batch_id = @batch_id)
  AND (
    @before_request_id = ''
    OR requested_at < @before_time
    OR (requested_at = @before_time AND request_id < @before_request_id)
  )
ORDER BY requested_at DESC, request_id DESC
LIMIT @page_size
