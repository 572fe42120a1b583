"""The certificate of an https address: whether it is valid there, and for how many days more.

What belongs here: one handshake, as a caller makes it, and what refusing it means. Nothing is sent.
"""

import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

from convergence_orchestration.health.model import Measure
from convergence_orchestration.health.probes.looking import Finding, healthy, unhealthy, unknown

FEW_DAYS = 14
"""With fewer days left somebody should have renewed the certificate."""

_HTTPS = 443
_SECONDS = 5.0
_LOOPBACK = "127.0.0.1"
_WORDS = {  # X509_V_ERR_... of OpenSSL's x509_vfy.h
    9: "is not valid yet; compare the clocks",
    10: "has expired",
    18: "is self-signed, by nobody whom this machine trusts",
    19: "comes from an authority that this machine does not trust",
    20: "comes from an authority that this machine does not know",
    21: "comes from an authority that this machine does not know",
    62: "is for other hosts",
    64: "is for other addresses",
}


@dataclass(frozen=True)
class Endpoint:
    """Who is asked, and under which name its certificate has to be."""

    host: str
    port: int

    @classmethod
    def of(cls, uri: str) -> "Endpoint | None":
        """That of an https address; None for any other."""
        try:
            parts = urlsplit(uri)
            port = parts.port or _HTTPS
        except ValueError:
            return None
        return cls(parts.hostname, port) if parts.scheme == "https" and parts.hostname else None

    @property
    def address(self) -> tuple[str, int]:
        """Where to connect: `*.localhost` is this machine (RFC 6761), whatever the resolver knows."""
        return (_LOOPBACK if self.host.endswith(".localhost") else self.host, self.port)


def certificate(uri: str, authority_file: str | None, now: datetime) -> Sequence[Finding]:
    """Whether a caller who trusts that authority (None: those that this machine trusts) would go on."""
    endpoint = Endpoint.of(uri)
    if endpoint is None:
        return [unhealthy("Callers are not protected: the address is no https address.")]
    try:
        ends = _valid_until(endpoint, authority_file)
    except ssl.SSLCertVerificationError as error:
        words = _WORDS.get(error.verify_code, f"is refused: {error.verify_message}")
        return [unhealthy(f"The certificate of {endpoint.host} {words}.", _days_of_refused(endpoint, now))]
    except (
        OSError,
        ValueError,
    ) as error:  # ssl.SSLError is an OSError; ValueError: a certificate without an end
        return [unknown(f"No handshake with {endpoint.host} came about: {type(error).__name__}.")]
    days = _days(ends, now)
    words = f"Renew the certificate: {days:.1f} days are left." if days < FEW_DAYS else ""
    return [healthy(words, {Measure.DAYS_LEFT: days})]


def _valid_until(endpoint: Endpoint, authority_file: str | None) -> datetime:
    trusted = ssl.create_default_context(cafile=authority_file)
    with (
        socket.create_connection(endpoint.address, _SECONDS) as connection,
        trusted.wrap_socket(connection, server_hostname=endpoint.host) as secured,
    ):
        found = secured.getpeercert() or {}
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(str(found.get("notAfter"))), UTC)


def _days_of_refused(endpoint: Endpoint, now: datetime) -> dict[Measure, float]:
    """Days left of a certificate that is refused, if it can be looked at."""
    from cryptography import x509  # noqa: PLC0415 only the worst day needs it

    blind = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    blind.check_hostname = False
    blind.verify_mode = ssl.CERT_NONE  # nothing is sent: the certificate is looked at and no more
    try:
        with (
            socket.create_connection(endpoint.address, _SECONDS) as connection,
            blind.wrap_socket(connection, server_hostname=endpoint.host) as secured,
        ):
            found = x509.load_der_x509_certificate(secured.getpeercert(binary_form=True) or b"")
    except (OSError, ValueError):
        return {}
    return {Measure.DAYS_LEFT: _days(found.not_valid_after_utc, now)}


def _days(ends: datetime, now: datetime) -> float:
    return round((ends - now) / timedelta(days=1), 2)
