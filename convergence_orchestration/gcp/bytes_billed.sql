-- How many queries a location has run since an instant, and the bytes that they were billed: NULL if nobody says.
SELECT COUNT(*) AS queries, SUM(total_bytes_billed) AS billed
FROM `{region}`.INFORMATION_SCHEMA.JOBS
WHERE creation_time >= @since AND job_type = 'QUERY'
