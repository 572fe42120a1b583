-- The rows that make tenants exist, once each: a profile that is past PROVISIONING, or another request's, stays as it is.
MERGE tenants.tenant_profiles AS profile
USING (
  SELECT
    entry.tenant_id AS tenant_id,
    entry.state AS state,
    entry.company_name AS company_name,
    entry.description AS description,
    entry.admin_email AS admin_email,
    entry.plan AS plan,
    entry.principal AS principal,
    entry.dataset_id AS dataset_id,
    entry.request_id AS request_id,
    entry.state_asked_at AS state_asked_at,
    entry.written_at AS written_at
  FROM UNNEST(@rows) AS entry
) AS asked
ON profile.tenant_id = asked.tenant_id
WHEN MATCHED AND profile.request_id = asked.request_id AND profile.state = 'PROVISIONING' THEN
  UPDATE SET
    state = asked.state,
    company_name = asked.company_name,
    description = asked.description,
    admin_email = asked.admin_email,
    plan = asked.plan,
    principal = asked.principal,
    dataset_id = asked.dataset_id,
    state_changed_by = asked.request_id,
    state_asked_at = asked.state_asked_at,
    plan_asked_at = asked.state_asked_at,
    updated_at = asked.written_at
WHEN NOT MATCHED THEN
  INSERT (
    tenant_id, state, company_name, description, admin_email, plan, principal, dataset_id, request_id, created_at,
    updated_at, state_changed_by, state_asked_at, plan_asked_at
  )
  VALUES (
    asked.tenant_id, asked.state, asked.company_name, asked.description, asked.admin_email, asked.plan, asked.principal,
    asked.dataset_id, asked.request_id, asked.written_at, asked.written_at, asked.request_id, asked.state_asked_at, asked.state_asked_at
  )
