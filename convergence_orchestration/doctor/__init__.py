"""What ails the platform: looking at everything it stands on, and saying what to type.

What belongs here: observations, the pure judgements on them, and both put together. Health over time is `health/`'s.
"""
