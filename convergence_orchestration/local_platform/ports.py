"""The one rule of ports: a base port for the API, and the others right behind it.

What belongs here: which port is whose, whether it is free, and who holds it if not.
"""

import contextlib
import errno
import socket
from collections.abc import Iterator
from dataclasses import dataclass

import psutil

from convergence_orchestration.errors import ErrorCode, PermanentError

LOOPBACK = "127.0.0.1"
_SECOND_LOOPBACK = "127.0.0.2"
_HIGHEST = 65535
_BEHIND = 8
"""How many ports behind the base port are taken too."""
_ANY_ADDRESS = ("0.0.0.0", "::", "")  # noqa: S104 compared with, not bound


@dataclass(frozen=True)
class Ports:
    """The ports of one platform; `base` is the API's."""

    base: int

    def __post_init__(self) -> None:
        if not 1 <= self.base <= _HIGHEST - _BEHIND:
            raise PermanentError(
                ErrorCode.INVALID_SETTINGS,
                f"Choose a base port between 1 and {_HIGHEST - _BEHIND}: {_BEHIND + 1} ports from it on are needed, "
                f"and {self.base} leaves no room (--base-port, or API_PORT).",
            )

    @property
    def last(self) -> int:
        """The highest of them."""
        return self.base + _BEHIND

    @property
    def api(self) -> int:
        """The API: the front door of Cloud Run, without TLS."""
        return self.base

    @property
    def webserver(self) -> int:
        """Dagster's web server."""
        return self.base + 1

    @property
    def bigquery(self) -> int:
        """BigQuery."""
        return self.base + 2

    @property
    def local_gcp_grpc(self) -> int:
        """Google Cloud but BigQuery, over gRPC."""
        return self.base + 3

    @property
    def local_gcp_rest(self) -> int:
        """The same over REST."""
        return self.base + 4

    @property
    def code_server(self) -> int:
        """Dagster's code server."""
        return self.base + 5

    @property
    def front_door_https(self) -> int:
        """Cloud Run's services with TLS, by their hosts."""
        return self.base + 6

    @property
    def node(self) -> int:
        """The node's health."""
        return self.base + 7

    @property
    def front_door_admin(self) -> int:
        """Envoy's administration."""
        return self.base + 8

    def named(self) -> dict[str, int]:
        """Each port with what it is for, in words."""
        return {
            "the API": self.api,
            "Dagster's web server": self.webserver,
            "BigQuery": self.bigquery,
            "local Google Cloud (gRPC)": self.local_gcp_grpc,
            "local Google Cloud (REST)": self.local_gcp_rest,
            "Dagster's code server": self.code_server,
            "the front door (HTTPS)": self.front_door_https,
            "the node's health": self.node,
            "the front door's administration": self.front_door_admin,
        }


def front_door_source() -> str:
    """The address that instances see the front door come from.

    Another one than that of this machine's programs: an instance believes the front door who a caller is, and a program that
    calls from 127.0.0.1 must not be taken for it. Where there is only the one loopback address (macOS), it is that.
    """
    with contextlib.suppress(OSError), socket.socket() as probe:
        probe.bind((_SECOND_LOOPBACK, 0))
        return _SECOND_LOOPBACK
    return LOOPBACK


def reachable(host: str) -> str:
    """The host to connect to where `host` is listened on."""
    return LOOPBACK if host in _ANY_ADDRESS else host


def require_free(ports: Ports, api_host: str) -> None:
    """Refuse to start on ports that others hold.

    Raises:
        PermanentError: FAILED_PRECONDITION with a sentence for each busy port: whose it is to be, who holds it.
    """
    hosts = {ports.api: api_host, ports.front_door_https: api_host}
    sentences = [
        f"Port {port} for {purpose} {trouble}."
        for purpose, port in ports.named().items()
        if (trouble := _trouble(hosts.get(port, LOOPBACK), port))
    ]
    if not sentences:
        return
    advice = f"Stop what holds it, or choose other ports: convergence up --base-port N (N to N+{_BEHIND} must be free)."
    raise PermanentError(ErrorCode.FAILED_PRECONDITION, "\n".join([*sentences, advice]))


def free_base_port(candidates: range = range(18000, 60000, 10)) -> int:
    """The first base port of `candidates` whose ports are all free.

    Raises:
        PermanentError: FAILED_PRECONDITION if there is none.
    """
    for base in candidates:
        if not any(_trouble(LOOPBACK, port) for port in Ports(base).named().values()):
            return base
    raise PermanentError(
        ErrorCode.FAILED_PRECONDITION,
        f"Stop some programs first: no {_BEHIND + 1} free ports in a row are left.",
    )


def _trouble(host: str, port: int) -> str:
    """Why `port` cannot be listened on, empty if it can."""
    try:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except PermissionError:
        return "is not for ordinary users"
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            return f"cannot be listened on at {host} ({error.strerror or error})"
        return f"is in use by {_holder(port)}"
    return ""


def _holder(port: int) -> str:
    """The program that listens on `port`, as far as this user may know."""
    for pid in _listening(port):
        with contextlib.suppress(psutil.Error):
            return f"{psutil.Process(pid).name()} (pid {pid})"
    return "another program (whose owner is not you, or it has just ended)"


def _listening(port: int) -> Iterator[int]:
    try:
        connections = psutil.net_connections(kind="tcp")
    except psutil.Error:  # macOS wants root for this
        return
    for connection in connections:
        is_it = connection.laddr and connection.laddr.port == port
        if connection.status == psutil.CONN_LISTEN and is_it and connection.pid:
            yield connection.pid
