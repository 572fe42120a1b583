-- Every event of alerts since an instant, repeats included, which the reader drops by event_id. It reads the table and not the
-- view, so that only the days since then are read.
SELECT
  event_id, alert_id, rule, kind, severity, environment, subject, message, runbook, observed, threshold, silenced_until, opened_at,
  streak, channel, about_event_id, actor, run_id, recorded_at
FROM tenants.alerts
WHERE recorded_at >= @since
