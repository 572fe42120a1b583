"""Alerts: rules over what was measured, the life of an alert, and telling people about it once."""
