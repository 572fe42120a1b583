-- Wipe the sealed copies of these keys; the number of rows says whether any was still there.
DELETE FROM tenants.sealed_keys WHERE key_id IN UNNEST(@key_ids)
