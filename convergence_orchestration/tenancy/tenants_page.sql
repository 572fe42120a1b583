-- One page of the tenants, by id, behind the last id of the page before; an empty filter filters nothing.
SELECT
  tenant_id, state, state_reason, company_name, description, admin_email, plan, principal, dataset_id, request_id,
  created_at, updated_at, delete_after, state_changed_by, state_asked_at, plan_asked_at
FROM tenants.tenant_profiles
WHERE
  tenant_id > @after
  AND (@state = '' OR state = @state)
  AND (@plan = '' OR plan = @plan)
  AND (@search = '' OR STRPOS(tenant_id, @search) > 0 OR STRPOS(LOWER(company_name), @search) > 0)
QUALIFY ROW_NUMBER() OVER (PARTITION BY tenant_id ORDER BY updated_at DESC) = 1
ORDER BY tenant_id
LIMIT @page_size
