-- Another state of one tenant, if the state it has allows it and no request made later came first.
UPDATE tenants.tenant_profiles
SET
  state = @state,
  state_reason = COALESCE(@state_reason, state_reason),
  delete_after = @delete_after,
  state_changed_by = @request_id,
  state_asked_at = @asked_at,
  updated_at = @now
WHERE
  tenant_id = @tenant_id
  AND state IN UNNEST(@from_states)
  AND (state_asked_at IS NULL OR state_asked_at < @asked_at)
  AND (@due_by IS NULL OR delete_after <= @due_by)
