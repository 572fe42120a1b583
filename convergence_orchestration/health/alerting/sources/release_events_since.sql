-- Every event of releases since an instant, of all services, repeats included, which the reader drops by event_id.
SELECT
  event_id, release_id, environment, service, kind, revision, stable_revision, image, traffic_percent, verdict, reason,
  evidence, actor, run_id, recorded_at
FROM tenants.release_events
WHERE recorded_at >= @since
