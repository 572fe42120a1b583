"""Cloud Run's front: Envoy, which splits traffic by weight, serves tags' hosts, ends TLS and writes the access log.

What belongs here: the process that keeps Envoy running and configured as the node asks (`front_door_contract.py`), and that
counts what the access log says. What the counts look like as Cloud Monitoring's time series is `local_gcp/monitoring/`.
"""
