"""Tenants' pipeline runs: how they are counted and admitted, what they do, and the history of them.

Everything here lives in one tenant's own dataset, so that no tenant waits for, sees or writes another's.
"""
