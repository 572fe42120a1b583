-- Where one tenant stands: its state and plan, and its places for keys. The newest profile counts should two writers ever
-- have met; of two rows for one place, the one that is taken.
SELECT
  profile.state,
  profile.plan,
  ARRAY(
    SELECT AS STRUCT slot, key_id, replaces, claimed_at
    FROM tenants.key_slots
    WHERE tenant_id = @tenant_id
    QUALIFY ROW_NUMBER() OVER (PARTITION BY slot ORDER BY claimed_at DESC NULLS LAST, key_id) = 1
  ) AS slots
FROM tenants.tenant_profiles AS profile
WHERE profile.tenant_id = @tenant_id
ORDER BY profile.updated_at DESC
LIMIT 1
