"""Benchmarks: programs that print the tables of docs/benchmarks.md. Run with `python -m benchmarks.NAME`."""
