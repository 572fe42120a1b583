-- Every check of one image since an instant, wherever it ran; the same image may lie in several repositories.
SELECT
  event_id, release_id, environment, service, kind, revision, stable_revision, image, traffic_percent, verdict, reason,
  evidence, actor, run_id, recorded_at
FROM tenants.release_events
WHERE kind = 'CHECKED' AND ENDS_WITH(image, @digest) AND recorded_at >= @since
