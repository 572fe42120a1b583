MERGE INTO `{present}` AS present
USING (SELECT {columns} FROM `{kept}`) AS kept
ON {same_keys}
WHEN MATCHED AND NOT COALESCE(CAST(present.{final_column} AS STRING) = @final, FALSE) THEN UPDATE SET {assignments}
WHEN NOT MATCHED THEN INSERT ({names}) VALUES ({values})
