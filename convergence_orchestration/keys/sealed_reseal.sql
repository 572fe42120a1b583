-- The same key under another version of the KMS key, unless the copy was wiped or sealed anew since it was read.
UPDATE tenants.sealed_keys
SET ciphertext = @ciphertext, kms_key_version = @kms_key_version
WHERE key_id = @key_id AND ciphertext = @found
