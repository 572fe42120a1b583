"""What the service promises, measured: probes, service levels, and what follows from them."""
