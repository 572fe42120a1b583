-- The tenants whose retention period is over, those that wait longest first.
SELECT
  tenant_id, state, state_reason, company_name, description, admin_email, plan, principal, dataset_id, request_id,
  created_at, updated_at, delete_after, state_changed_by, state_asked_at, plan_asked_at
FROM tenants.tenant_profiles
WHERE state = 'OFFBOARDING' AND delete_after <= @now
ORDER BY delete_after, tenant_id
LIMIT @page_size
