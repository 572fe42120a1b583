"""The FastAPI service that Cloud Run serves.

What belongs here: HTTP, and asking. The API appends requests, launches Dagster runs and reads; it creates nothing in
Google Cloud by itself and never imports Dagster.
"""
