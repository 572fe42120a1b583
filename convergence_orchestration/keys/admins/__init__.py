"""Administrators' keys over time: who has one, which versions count, when each is due, how it is rotated and retired.

What a key is, and how a caller's is compared with it, is `keys/admin.py`.
"""
