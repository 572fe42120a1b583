"""Levels of service: availability, latency, errors and the rate of requests, from Cloud Monitoring's metrics."""
