-- The row that makes a tenant exist, once: a profile that is past PROVISIONING, or another request's, stays as it is.
MERGE tenants.tenant_profiles AS profile
USING (SELECT @tenant_id AS tenant_id) AS asked
ON profile.tenant_id = asked.tenant_id
WHEN MATCHED AND profile.request_id = @request_id AND profile.state = 'PROVISIONING' THEN
  UPDATE SET
    state = @state,
    company_name = @company_name,
    description = @description,
    admin_email = @admin_email,
    plan = @plan,
    dataset_id = @dataset_id,
    updated_at = @now
WHEN NOT MATCHED THEN
  INSERT (
    tenant_id, state, company_name, description, admin_email, plan, dataset_id, request_id, created_at, updated_at
  )
  VALUES (
    @tenant_id, @state, @company_name, @description, @admin_email, @plan, @dataset_id, @request_id, @now, @now
  )
