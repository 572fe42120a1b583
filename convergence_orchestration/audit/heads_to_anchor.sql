-- The last row of each chain that wrote lately, without those that an opening row of that time has anchored already:
-- so each head is anchored once, and what is anchored grows with the rows and not with the square of the writers.
WITH recent AS (
  SELECT writer_id, sequence, row_hash, action, details, recorded_at
  FROM tenants.audit_log
  WHERE recorded_at >= @since
),
heads AS (
  SELECT writer_id, sequence, row_hash, recorded_at
  FROM recent
  WHERE TRUE
  QUALIFY ROW_NUMBER() OVER (PARTITION BY writer_id ORDER BY sequence DESC, row_hash) = 1
),
anchored AS (
  SELECT JSON_VALUE(anchor, '$[0]') AS writer_id, MAX(CAST(JSON_VALUE(anchor, '$[1]') AS INT64)) AS sequence
  FROM recent, UNNEST(JSON_QUERY_ARRAY(details, '$.anchors')) AS anchor
  WHERE action = 'audit.opened'
  GROUP BY 1
)
SELECT heads.writer_id, heads.sequence, heads.row_hash
FROM heads
LEFT JOIN anchored ON anchored.writer_id = heads.writer_id
WHERE heads.sequence > IFNULL(anchored.sequence, 0)
ORDER BY heads.recorded_at
LIMIT @most
