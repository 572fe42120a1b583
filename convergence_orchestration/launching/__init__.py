"""Warm run workers: a fork server for each Dagster home, whose workers have the code location imported already.

`launcher.py` beside this package is what Dagster loads. Who is who here: the *server* (`server.py`) is one lean process
that queues, bounds and watches; a *zygote* (`zygote.py`) is its child with one code location imported; a *worker* is
forked from a zygote and executes one run (`worker.py`). Processes may be killed at any moment: what must survive is in
files (`records.py`), and whoever comes next carries on from them.
"""
