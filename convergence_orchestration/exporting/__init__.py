"""Dagster's side of the platform for Prometheus: a small process that asks Dagster's web server when it is scraped.

What belongs here: one question, what its answer says, the metrics, and serving them. The API's own are `api/metrics.py`.
"""
