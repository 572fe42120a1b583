-- Take one place if it is as it was read, in each of its rows should it have two: then one change of it goes after the
-- other, and the later of two claims changes nothing.
UPDATE tenants.key_slots
SET key_id = @key_id, replaces = @replaces, claimed_at = @claimed_at
WHERE
  tenant_id = @tenant_id
  AND slot = @slot
  AND NOT EXISTS (
    SELECT 1
    FROM tenants.key_slots AS other
    WHERE
      other.tenant_id = @tenant_id
      AND other.slot = @slot
      AND (
        IFNULL(other.key_id, '') != @found_key_id
        OR IFNULL(other.claimed_at, TIMESTAMP '1970-01-01') != @found_claimed_at
      )
  )
