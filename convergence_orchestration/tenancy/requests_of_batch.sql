-- How many requests of a batch are in which state.
SELECT state, COUNT(*) AS requests, MIN(requested_at) AS requested_at, MAX(updated_at) AS updated_at
FROM tenants.tenant_requests_current
WHERE batch_id = @batch_id
GROUP BY state
