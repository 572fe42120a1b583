"""Thin typed clients of Google Cloud: where they are made, how they retry, what their errors mean to us.

No decision of the platform belongs here, and no knowledge of tenants or tables.
"""
