-- One tenant's profile; the newest row counts should two writers ever have met.
SELECT
  tenant_id, state, company_name, description, admin_email, plan, dataset_id, request_id, created_at, updated_at
FROM tenants.tenant_profiles
WHERE tenant_id = @tenant_id
QUALIFY ROW_NUMBER() OVER (PARTITION BY tenant_id ORDER BY updated_at DESC) = 1
