-- Write events into the ledger by a statement: tabledata.list, by which the API's processes follow it, shows such rows at
-- once, and those that were streamed only when BigQuery has moved them out of its streaming buffer.
INSERT INTO tenants.api_key_events (
  event_id, key_id, tenant_id, kind, key_hash, environment, description, scopes, expires_at, overlap_ends_at,
  successor_key_id, kms_key_version, actor, request_id, run_id, recorded_at
)
SELECT
  entry.event_id, entry.key_id, entry.tenant_id, entry.kind, entry.key_hash, entry.environment, entry.description,
  IF(entry.scopes = '', [], SPLIT(entry.scopes, ' ')), entry.expires_at, entry.overlap_ends_at,
  entry.successor_key_id, entry.kms_key_version, entry.actor, entry.request_id, entry.run_id, entry.recorded_at
FROM UNNEST(@rows) AS entry
