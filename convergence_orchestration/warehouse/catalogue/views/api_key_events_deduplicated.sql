-- Every event of api_key_events once, also where an append was repeated.
SELECT
  event_id,
  key_id,
  tenant_id,
  kind,
  key_hash,
  environment,
  description,
  scopes,
  expires_at,
  overlap_ends_at,
  successor_key_id,
  kms_key_version,
  actor,
  request_id,
  run_id,
  recorded_at
FROM tenants.api_key_events
-- tenant and key are the same in every copy of an event; naming them lets a filter on them reach the table
QUALIFY ROW_NUMBER() OVER (PARTITION BY tenant_id, key_id, event_id ORDER BY recorded_at) = 1
