"""The quarterly review: who may do what, beside who shall, and what protects the environment.

What belongs here: the baseline's files, looking, the pure comparison, and its edge to Dagster.
"""
