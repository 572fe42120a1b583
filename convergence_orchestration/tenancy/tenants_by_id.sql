-- Some tenants' profiles; the newest row counts should two writers ever have met.
SELECT
  tenant_id, state, state_reason, company_name, description, admin_email, plan, principal, dataset_id, request_id,
  created_at, updated_at, delete_after, state_changed_by, state_asked_at, plan_asked_at
FROM tenants.tenant_profiles
WHERE tenant_id IN UNNEST(@tenant_ids)
QUALIFY ROW_NUMBER() OVER (PARTITION BY tenant_id ORDER BY updated_at DESC) = 1
