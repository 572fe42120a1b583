INSERT INTO tenants_backups.backups (name, dataset_id, environment, taken_at, expires_at, run_id, reason, tables)
SELECT @name, @dataset_id, @environment, @taken_at, @expires_at, @run_id, @reason, @tables
FROM (SELECT COUNT(*) AS known FROM tenants_backups.backups WHERE name = @name)
WHERE known = 0
