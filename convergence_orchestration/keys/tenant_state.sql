-- Where one tenant is in its life; the newest row counts should two writers ever have met.
SELECT state
FROM tenants.tenant_profiles
WHERE tenant_id = @tenant_id
ORDER BY updated_at DESC
LIMIT 1
