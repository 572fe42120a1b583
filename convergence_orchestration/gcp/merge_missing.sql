MERGE INTO `{present}` AS present
USING (SELECT {columns} FROM `{kept}`) AS kept
ON {same_keys}
WHEN NOT MATCHED THEN INSERT ({names}) VALUES ({values})
