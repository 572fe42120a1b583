SELECT name, dataset_id, environment, taken_at, expires_at, run_id, reason, tables
FROM tenants_backups.backups
QUALIFY ROW_NUMBER() OVER (PARTITION BY name ORDER BY taken_at) = 1
ORDER BY taken_at DESC, name
