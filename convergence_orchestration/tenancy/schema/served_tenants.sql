-- Ids of the tenants in these states; the newest row counts should two writers ever have met.
SELECT tenant_id
FROM (
  SELECT tenant_id, state
  FROM tenants.tenant_profiles
  QUALIFY ROW_NUMBER() OVER (PARTITION BY tenant_id ORDER BY updated_at DESC) = 1
)
WHERE state IN UNNEST(@states)
ORDER BY tenant_id
