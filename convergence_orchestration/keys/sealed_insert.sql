-- A key's sealed copy, once: the first copy stays, whoever comes second reads it.
MERGE tenants.sealed_keys AS sealed
USING (SELECT @key_id AS key_id) AS asked
ON sealed.key_id = asked.key_id
WHEN NOT MATCHED THEN
  INSERT (key_id, tenant_id, environment, ciphertext, kms_key_version, sealed_at, repeatable)
  VALUES (@key_id, @tenant_id, @environment, @ciphertext, @kms_key_version, @sealed_at, @repeatable)
