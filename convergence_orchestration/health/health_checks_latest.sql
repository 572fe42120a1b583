-- What every probe found last of each target, not longer ago than since an instant.
SELECT
  event_id, probe, target, environment, revision, status, latency_ms, status_code, message, measured, run_id, recorded_at
FROM tenants.health_checks
WHERE recorded_at >= @since AND (@environment = '' OR environment = @environment)
QUALIFY ROW_NUMBER() OVER (PARTITION BY environment, probe, target ORDER BY recorded_at DESC, event_id) = 1
ORDER BY environment, probe, target
