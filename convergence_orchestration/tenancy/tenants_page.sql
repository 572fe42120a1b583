-- One page of the tenants, by id, behind the last id of the page before.
SELECT
  tenant_id, state, company_name, description, admin_email, plan, dataset_id, request_id, created_at, updated_at
FROM tenants.tenant_profiles
WHERE tenant_id > @after
QUALIFY ROW_NUMBER() OVER (PARTITION BY tenant_id ORDER BY updated_at DESC) = 1
ORDER BY tenant_id
LIMIT @page_size
