-- A key's sealed copy; in the same order for everybody should there ever be two.
SELECT key_id, tenant_id, environment, ciphertext, kms_key_version, sealed_at, repeatable
FROM tenants.sealed_keys
WHERE key_id = @key_id
ORDER BY sealed_at, ciphertext
