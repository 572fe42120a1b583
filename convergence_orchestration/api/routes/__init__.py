"""The calls, one file for each thing that is called about. A route reads, asks, and shapes the answer; no more."""
