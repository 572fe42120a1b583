-- Wipe every sealed copy of a tenant, also those of keys that were never issued.
DELETE FROM tenants.sealed_keys WHERE tenant_id = @tenant_id
