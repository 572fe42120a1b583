"""The certificate that a host shows, after it was checked.

What belongs here: one handshake. `*.localhost` means this machine (RFC 6761), which not every resolver knows.
"""

import socket
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime

_SECONDS = 10.0


@dataclass(frozen=True)
class Shown:
    """What was agreed upon; `ends_at` is the certificate's last moment, UTC."""

    protocol: str
    ends_at: datetime


def look(host: str, port: int, authority_file: str | None) -> Shown:
    """The certificate of the host, trusted and for this name.

    Raises:
        ssl.SSLError: it is not.
        OSError: nobody answers.
    """
    trusted = ssl.create_default_context(cafile=authority_file)
    address = "127.0.0.1" if host == "localhost" or host.endswith(".localhost") else host
    with (
        socket.create_connection((address, port), timeout=_SECONDS) as plain,
        trusted.wrap_socket(plain, server_hostname=host) as secure,
    ):
        shown = secure.getpeercert() or {}
        ends_at = datetime.fromtimestamp(ssl.cert_time_to_seconds(str(shown["notAfter"])), UTC)
        return Shown(secure.version() or "", ends_at)
