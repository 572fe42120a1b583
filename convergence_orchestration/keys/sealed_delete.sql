-- Wipe a key's sealed copy; the number of rows says whether it was still there.
DELETE FROM tenants.sealed_keys WHERE key_id = @key_id
