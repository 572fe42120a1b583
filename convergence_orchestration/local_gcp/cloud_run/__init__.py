"""Cloud Run's control plane: services, revisions, and where requests shall go.

What belongs here: what the Admin API v2 promises for services and their revisions. Nothing runs here: the node
(`local_gcp/node`) reads from the store what shall run and reports through `observe.py` what does; the front door tells
the node what it serves. Jobs, worker pools, volumes, sidecars and start from zero are refused or not served.
"""
