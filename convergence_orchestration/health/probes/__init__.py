"""Probes: each looks at one thing within a deadline, and none keeps another from looking."""
