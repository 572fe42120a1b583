"""The check-list in front of a release: its items, the gate that stops what is not fit, signatures and load tests."""
