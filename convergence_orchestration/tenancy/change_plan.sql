-- Another plan of one tenant, if its state allows it and no request made later came first.
UPDATE tenants.tenant_profiles
SET plan = @plan, plan_asked_at = @asked_at, updated_at = @now
WHERE
  tenant_id = @tenant_id
  AND state IN UNNEST(@from_states)
  AND (plan_asked_at IS NULL OR plan_asked_at <= @asked_at)
