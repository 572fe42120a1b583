SELECT COUNT(*) AS row_count, MAX({time_column}) AS newest FROM `{table}`
