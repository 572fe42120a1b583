"""Where observations come from: what probes found, levels of service, keys, requests, releases, runs."""
