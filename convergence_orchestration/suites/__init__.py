"""The acceptance suites of the deployment guide: local, staging and production, ten tests each, by its names and numbers."""
