-- Every event of these keys, deduplicated; the order is made by the reader.
SELECT
  key_id, tenant_id, kind, key_hash, environment, description, scopes, expires_at, overlap_ends_at, successor_key_id,
  kms_key_version, actor, request_id, run_id, recorded_at
FROM tenants.api_key_events_deduplicated
WHERE key_id IN UNNEST(@key_ids)
