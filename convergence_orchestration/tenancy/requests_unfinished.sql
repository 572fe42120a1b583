-- Every request with an event since @since that is neither done nor failed for good, by its latest event. It reads the table
-- and not the view, so that only the days since then are read; an event that was appended twice changes nothing here.
SELECT
  request_id, tenant_id, kind, state, attempt, run_id, error_code, batch_id, requested_at, recorded_at AS updated_at
FROM (
  SELECT
    request_id, tenant_id, kind, state, COALESCE(attempt, 1) AS attempt, run_id, error_code, batch_id, recorded_at,
    MIN(recorded_at) OVER (PARTITION BY request_id) AS requested_at,
    ROW_NUMBER() OVER (
      PARTITION BY request_id
      ORDER BY
        state = 'DONE' DESC,
        COALESCE(attempt, 1) DESC,
        CASE state WHEN 'REQUESTED' THEN 0 WHEN 'RUNNING' THEN 1 WHEN 'FAILED' THEN 2 ELSE 3 END DESC,
        recorded_at DESC
    ) AS place
  FROM tenants.tenant_requests
  WHERE recorded_at >= @since
)
WHERE
  place = 1
  AND (
    state IN ('REQUESTED', 'RUNNING')
    OR (state = 'FAILED' AND error_code IN UNNEST(@transient_codes) AND attempt < @most_attempts)
  )
ORDER BY requested_at, request_id
