"""Dagster's instance, as far as its health is concerned."""
