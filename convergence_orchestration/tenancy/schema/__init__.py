"""The tenants' tables against the catalogue: how they differ, and how they are brought up to its version."""
