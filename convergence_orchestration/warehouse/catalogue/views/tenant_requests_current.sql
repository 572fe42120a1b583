-- Every request once, with its latest state, attempt, run and reason, what was asked for, and its first and last event.
-- Writers' clocks may differ, so the order is the attempt, then the state, and only then the time; DONE is final.
WITH placed AS (
  SELECT
    *,
    ROW_NUMBER() OVER (
      PARTITION BY tenant_id, request_id
      ORDER BY
        state = 'DONE' DESC,
        COALESCE(attempt, 1) DESC,
        CASE state WHEN 'REQUESTED' THEN 0 WHEN 'RUNNING' THEN 1 WHEN 'FAILED' THEN 2 ELSE 3 END DESC,
        recorded_at DESC,
        event_id DESC
    ) AS place
  FROM tenants.tenant_requests_events
),

-- whatever only some of the events say
gathered AS (
  SELECT
    tenant_id,
    request_id,
    MIN_BY(parameters, IF(parameters IS NULL, NULL, place)) AS parameters,
    MIN_BY(run_id, IF(run_id IS NULL, NULL, place)) AS run_id,
    MAX_BY(actor, IF(actor IS NULL, NULL, place)) AS actor,
    MAX_BY(idempotency_key, IF(idempotency_key IS NULL, NULL, place)) AS idempotency_key,
    MIN_BY(batch_id, IF(batch_id IS NULL, NULL, place)) AS batch_id,
    MIN(recorded_at) AS requested_at,
    MAX(recorded_at) AS updated_at
  FROM placed
  GROUP BY tenant_id, request_id
)

SELECT
  latest.request_id,
  latest.tenant_id,
  latest.kind,
  latest.state,
  COALESCE(latest.attempt, 1) AS attempt,
  gathered.parameters,
  gathered.run_id,
  latest.reason,
  latest.error_code,
  gathered.actor,
  gathered.idempotency_key,
  gathered.batch_id,
  gathered.requested_at,
  gathered.updated_at
FROM placed AS latest
INNER JOIN gathered ON gathered.tenant_id = latest.tenant_id AND gathered.request_id = latest.request_id
WHERE latest.place = 1
