"""Cloud Monitoring: Cloud Run's request counts and latencies as time series.

What belongs here: what the service's documentation promises for reading those two metrics. The numbers are the front door's
(`local_gcp/front_door/measurements.py`); nothing is kept here.
"""
