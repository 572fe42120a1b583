"""What a person fills in to have a key issued, rotated or revoked from the Dagster UI."""
