"""Whether Envoy answers at all: a process that is alive may hang.

What belongs here: asking its listener, whose thread is the one that serves, and counting what was not answered. What follows is
the supervisor's business.
"""

import http.client

from convergence_orchestration.local_gcp.front_door.bootstrap import LOOPBACK, FrontDoorPorts

_DEADLINE_SECONDS = 1.0
_MISSES = 3
_HOST = "_pulse.localhost"  # no service can have this name: Envoy answers 404 itself
_EVERYWHERE = frozenset({"0.0.0.0", "::"})  # noqa: S104 compared, not bound


class Pulse:
    """Asks one Envoy; it is gone when it has missed the deadline three times in a row."""

    def __init__(self, ports: FrontDoorPorts) -> None:
        self._host = LOOPBACK if ports.host in _EVERYWHERE else ports.host
        self._port = ports.http
        self._missed = 0

    def begin(self) -> None:
        """Another Envoy is asked from now on."""
        self._missed = 0

    def is_there(self) -> bool:
        """Ask once, within a second."""
        self._missed = 0 if self._is_answered() else self._missed + 1
        return self._missed < _MISSES

    def _is_answered(self) -> bool:
        connection = http.client.HTTPConnection(self._host, self._port, timeout=_DEADLINE_SECONDS)
        try:
            connection.request("GET", "/", headers={"Host": _HOST})
            connection.getresponse().read()
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()
        return True
