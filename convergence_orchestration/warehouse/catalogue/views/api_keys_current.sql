-- Every issued key once, with when it was delivered, revoked or replaced. No key is in it, only its hash.
-- Each fact is taken from the earliest event of its kind: events of many writers have no order of their own.
WITH issued AS (
  SELECT key_id, tenant_id, key_hash, environment, description, scopes, recorded_at AS issued_at, expires_at
  FROM tenants.api_key_events_deduplicated
  WHERE kind = 'ISSUED'
  QUALIFY ROW_NUMBER() OVER (PARTITION BY tenant_id, key_id ORDER BY recorded_at) = 1
),

later AS (
  SELECT
    tenant_id,
    key_id,
    MIN(IF(kind = 'REVOKED', recorded_at, NULL)) AS revoked_at,
    MIN(IF(kind = 'DELIVERED', recorded_at, NULL)) AS delivered_at,
    MIN_BY(overlap_ends_at, IF(kind = 'ROTATED', recorded_at, NULL)) AS overlap_ends_at
  FROM tenants.api_key_events_deduplicated
  WHERE kind != 'ISSUED'
  GROUP BY tenant_id, key_id
)

SELECT
  issued.key_id,
  issued.tenant_id,
  issued.key_hash,
  issued.environment,
  issued.description,
  issued.scopes,
  issued.issued_at,
  issued.expires_at,
  later.revoked_at,
  later.delivered_at,
  later.overlap_ends_at
FROM issued
LEFT JOIN later ON later.tenant_id = issued.tenant_id AND later.key_id = issued.key_id
