INSERT INTO `{present}` ({names})
SELECT {names}
FROM (SELECT {columns} FROM `{kept}`) AS kept
WHERE NOT EXISTS (SELECT 1 FROM `{present}` AS present WHERE {same_keys})
