"""The platform's tables: declared in YAML, made, compared with what is really there.

What the rows mean belongs to the domains that write them.
"""
