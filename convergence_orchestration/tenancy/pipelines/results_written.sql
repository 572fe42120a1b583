-- What a run has written already, by event ids.
SELECT event_id FROM dq_results WHERE pipeline_run_id = @run
UNION ALL
SELECT event_id FROM step_logs WHERE pipeline_run_id = @run
