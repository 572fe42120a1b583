-- Every event recorded at or after an instant, repeats included, which the reader drops by event_id: BigQuery does not
-- push the filter below a view that deduplicates, and here it bounds the partitions that are read.
SELECT
  key_id, tenant_id, kind, key_hash, environment, description, scopes, expires_at, overlap_ends_at, successor_key_id,
  kms_key_version, actor, request_id, run_id, recorded_at
FROM tenants.api_key_events
WHERE recorded_at >= @since
