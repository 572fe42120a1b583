-- What every probe found since an instant, in one environment or (named "") in all, each event once.
SELECT
  event_id, probe, target, environment, revision, status, latency_ms, status_code, message, measured, run_id, recorded_at
FROM tenants.health_checks
WHERE recorded_at >= @since AND (@environment = '' OR environment = @environment)
QUALIFY ROW_NUMBER() OVER (PARTITION BY event_id ORDER BY recorded_at) = 1
ORDER BY recorded_at, probe, target
