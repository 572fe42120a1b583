-- Every event of one release of a service in one environment, repeats included, which the reader drops by event_id.
SELECT
  event_id, release_id, environment, service, kind, revision, stable_revision, image, traffic_percent, verdict, reason,
  evidence, actor, run_id, recorded_at
FROM tenants.release_events
WHERE environment = @environment AND service = @service AND release_id = @release_id
