"""Backups of the central tables, or of one tenant's, and what restoring them means.

What belongs here: taking, listing, comparing and restoring. How one snapshot is taken is `warehouse/snapshots.py`.
"""
