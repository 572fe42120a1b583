-- Every event of every key of one tenant, and of these keys whosever they are, deduplicated; the reader makes the order.
SELECT
  key_id, tenant_id, kind, key_hash, environment, description, scopes, expires_at, overlap_ends_at, successor_key_id,
  kms_key_version, actor, request_id, run_id, recorded_at
FROM tenants.api_key_events_deduplicated
WHERE tenant_id = @tenant_id OR key_id IN UNNEST(@key_ids)
