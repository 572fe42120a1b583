SELECT COUNT(*) AS in_flight
FROM tenants.tenant_requests_current
WHERE state IN ('REQUESTED', 'RUNNING') AND (@tenant_id IS NULL OR tenant_id = @tenant_id)
