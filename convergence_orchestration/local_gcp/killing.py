"""SIGKILL on demand, at an exact call: for faults that ask for the death of a caller or of the emulator itself.

What belongs here: finding the process at the other end of a connection on this machine, and ending it.
"""

import os
import signal
from collections.abc import Mapping
from typing import Any

import psutil

from convergence_orchestration.local_gcp.faults import Victim
from convergence_orchestration.logs import logger

_log = logger(__name__)


def kill(victim: Victim, scope: Mapping[str, Any]) -> None:
    """End the victim at once; a caller that is not a process of this machine's user is left alone.

    Args:
        victim: `caller` or `emulator`.
        scope: the ASGI scope of the caller's request.
    """
    pid = os.getpid() if victim == "emulator" else _caller(scope)
    _log.warning("A process is killed, as the faults file asks for.", victim=victim, pid=pid)
    if pid is not None:
        os.kill(pid, signal.SIGKILL)


def _caller(scope: Mapping[str, Any]) -> int | None:
    """The process whose end of the connection has the port that the request came from."""
    _, its_port = scope["client"]
    _, our_port = scope["server"]
    for connection in psutil.net_connections("tcp4"):
        is_its_end = connection.laddr and connection.laddr.port == its_port
        if is_its_end and connection.raddr and connection.raddr.port == our_port:
            return connection.pid
    return None
