-- How many requests of a batch are in which state, by their latest events. It reads the events of these requests alone, for it
-- is asked every few seconds while a batch goes on; an event that was appended twice changes nothing here.
SELECT state, COUNT(*) AS requests, MIN(requested_at) AS requested_at, MAX(recorded_at) AS updated_at
FROM (
  SELECT
    state, recorded_at,
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
  WHERE request_id IN (SELECT request_id FROM tenants.tenant_requests WHERE batch_id = @batch_id)
)
WHERE place = 1
GROUP BY state
