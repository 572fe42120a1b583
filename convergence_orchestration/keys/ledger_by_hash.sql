-- Every event of the key of which this is the hash: the issue carries the hash, what follows only the key's id.
SELECT
  key_id, tenant_id, kind, key_hash, environment, description, scopes, expires_at, overlap_ends_at, successor_key_id,
  kms_key_version, actor, request_id, run_id, recorded_at
FROM tenants.api_key_events_deduplicated
WHERE key_id IN (SELECT key_id FROM tenants.api_key_events WHERE key_hash = @key_hash)
