"""Forms in the Dagster UI for what the API is asked otherwise: each writes a request down, then carries it out."""
