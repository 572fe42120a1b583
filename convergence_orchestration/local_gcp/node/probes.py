"""Start-up probes.

What belongs here: asking one instance once, over HTTP or TCP, as its revision's probe says.
"""

import http.client
import socket

from google.cloud.run_v2 import Probe

_LONGEST_SECONDS = 5.0
_REDIRECTED_FURTHEST = 400


def succeeds(port: int, probe: Probe) -> bool:
    """The instance on this port answers: HTTP 200 to 399, or it takes a connection."""
    timeout = min(max(probe.timeout_seconds, 1), _LONGEST_SECONDS)
    if "http_get" not in probe:
        return _takes_connection(port, timeout)
    headers = {header.name: header.value for header in probe.http_get.http_headers}
    return _answers(port, probe.http_get.path or "/", headers, timeout)


def seconds_to_start(probe: Probe) -> float:
    """How long the probe may fail until the start has failed."""
    return float(probe.initial_delay_seconds + probe.period_seconds * probe.failure_threshold)


def _takes_connection(port: int, timeout: float) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=timeout):
            return True
    except OSError:
        return False


def _answers(port: int, path: str, headers: dict[str, str], timeout: float) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request("GET", path, headers=headers)
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
    return http.client.OK <= status < _REDIRECTED_FURTHEST
