WITH kept AS (
  SELECT
    TO_JSON_STRING(STRUCT({keys})) AS id,
    FARM_FINGERPRINT(TO_JSON_STRING(STRUCT({columns}))) AS content
  FROM `{kept}`
),

present AS (
  SELECT
    TO_JSON_STRING(STRUCT({keys})) AS id,
    FARM_FINGERPRINT(TO_JSON_STRING(STRUCT({columns}))) AS content,
    COALESCE(CAST({final_column} AS STRING) = @final, FALSE) AS is_final
  FROM `{present}`
),

-- rows of the backup that the table has not as they were
other AS (
  SELECT id FROM kept WHERE content NOT IN (SELECT content FROM present)
)

SELECT
  (SELECT COUNT(*) FROM present) AS rows_now,
  (SELECT COUNT(*) FROM kept) AS rows_in_backup,
  (SELECT COUNT(*) FROM other WHERE id NOT IN (SELECT id FROM present)) AS missing,
  (SELECT COUNT(*) FROM other WHERE id IN (SELECT id FROM present WHERE NOT is_final)) AS changed,
  (SELECT COUNT(*) FROM other WHERE id IN (SELECT id FROM present WHERE is_final)) AS final,
  (SELECT COUNT(*) FROM present WHERE id NOT IN (SELECT id FROM kept)) AS newer
