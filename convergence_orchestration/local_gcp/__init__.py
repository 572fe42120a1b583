"""Google Cloud on this machine, for the unmodified official clients.

What belongs here: the emulated services, their storage, the faults they can be told to show, and the two processes
that serve them (`server` for everything but BigQuery, `bigquery` for the `local-bigquery` package). The platform's own
code never imports from here: it meets these services through Google's clients alone.
"""
