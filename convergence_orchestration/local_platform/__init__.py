"""The platform on one machine: its processes, started in order, watched, and stopped to the last one.

What belongs here: what `convergence up`, `down` and `status` do. How that is shown to a person is `cli/`'s business; what
the processes do is their own.
"""
