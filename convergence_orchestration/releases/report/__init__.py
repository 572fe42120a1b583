"""The report of a release: what happened, drawn and told on one page."""
