-- Every event of one service since an instant, repeats included, which the reader drops by event_id.
SELECT
  event_id, release_id, environment, service, kind, revision, stable_revision, image, traffic_percent, verdict, reason,
  evidence, actor, run_id, recorded_at
FROM tenants.release_events
WHERE environment = @environment AND service = @service AND recorded_at >= @since
