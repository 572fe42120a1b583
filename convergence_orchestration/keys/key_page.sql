-- Every event of the keys of one page, the newest keys first, behind the last key of the page before; an empty filter
-- filters nothing. The state is as in model.KeyRecord.state.
WITH page AS (
  SELECT key_id, tenant_id
  FROM tenants.api_keys_current
  WHERE
    (@tenant_id = '' OR tenant_id = @tenant_id)
    AND (issued_at < @issued_before OR (issued_at = @issued_before AND key_id < @key_before))
    AND (
      @state = ''
      OR @state = CASE
        WHEN revoked_at IS NOT NULL THEN 'REVOKED'
        WHEN expires_at <= @now THEN 'EXPIRED'
        WHEN overlap_ends_at IS NULL THEN 'ACTIVE'
        WHEN @now < overlap_ends_at THEN 'ROTATING'
        ELSE 'EXPIRED'
      END
    )
  ORDER BY issued_at DESC, key_id DESC
  LIMIT @page_size
)

SELECT
  events.key_id, events.tenant_id, kind, key_hash, environment, description, scopes, expires_at, overlap_ends_at,
  successor_key_id, kms_key_version, actor, request_id, run_id, recorded_at
FROM page
JOIN tenants.api_key_events_deduplicated AS events ON events.key_id = page.key_id
