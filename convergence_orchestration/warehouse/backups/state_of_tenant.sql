SELECT state
FROM tenants.tenant_profiles
WHERE tenant_id = @tenant_id
