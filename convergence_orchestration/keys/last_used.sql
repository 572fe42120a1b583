-- The last minute in which each of some keys was used; keys that never were are left out.
SELECT key_id, MAX(used_at) AS last_used_at
FROM tenants.api_key_usage
WHERE key_id IN UNNEST(@key_ids)
GROUP BY key_id
