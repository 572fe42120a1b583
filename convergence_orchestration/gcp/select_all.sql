SELECT * FROM `{table}`
