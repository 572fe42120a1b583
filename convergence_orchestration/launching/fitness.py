"""May this process fork workers? Not once threads run in it: a fork copies their locks, but not who would free them."""

import threading
from collections.abc import Iterable
from pathlib import Path

_GRPC_THREADS = ("grpc", "event_engine", "lifeguard", "timer_")
"""How gRPC names the threads that it starts with the first channel or server; Linux cuts names at 15 characters."""


def unfit_reason(python_threads: Iterable[str], native_threads: Iterable[str]) -> str:
    """Why a process with these threads must not fork; empty if it may.

    Native threads of numpy's and pyarrow's libraries are fine: those libraries stop or repair them around a fork.
    """
    others = sorted(name for name in python_threads if name != "MainThread")
    if others:
        return f"threads run after the import: {', '.join(others)}"
    grpc = sorted({name for name in native_threads if name.startswith(_GRPC_THREADS)})
    if grpc:
        return f"gRPC was used during the import: its threads run ({', '.join(grpc)})"
    return ""


def own_unfit_reason() -> str:
    """Why this process must not fork now; empty if it may."""
    return unfit_reason([thread.name for thread in threading.enumerate()], _native_threads())


def _native_threads() -> list[str]:
    tasks = Path("/proc/self/task")
    if not tasks.is_dir():
        return []
    names = []
    for task in tasks.iterdir():
        try:
            names.append((task / "comm").read_text().strip())
        except OSError:
            continue
    return names
