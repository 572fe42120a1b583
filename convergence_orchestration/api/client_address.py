"""Where a call came from: the peer's address, or what a trusted proxy says of it.

What belongs here: reading X-Forwarded-For, which anybody may send and nobody but a trusted proxy is believed.
"""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from starlette.requests import Request

type _Network = IPv4Network | IPv6Network


def address_of(request: Request, trusted: Sequence[str]) -> str | None:
    """The caller's address; None where the server knows none."""
    peer = request.client.host if request.client else None
    return source_address(peer, request.headers.getlist("x-forwarded-for"), trusted)


def source_address(peer: str | None, forwarded_for: Sequence[str], trusted: Sequence[str]) -> str | None:
    """The last address on the way from the caller that is not a trusted proxy's.

    Args:
        peer: who opened the connection.
        forwarded_for: the values of the header, in order; each proxy adds whom it was asked by at the end.
        trusted: addresses and networks of proxies, as `Settings.trusted_proxies`.
    """
    networks = [ip_network(each) for each in trusted]
    found = peer
    for hop in reversed([part.strip() for value in forwarded_for for part in value.split(",")]):
        if not _is_in(found, networks):
            break
        if _address(hop) is None:  # a proxy that we trust wrote something else, for example `unknown`
            break
        found = hop
    return found


def _is_in(text: str | None, networks: Sequence[_Network]) -> bool:
    address = _address(text)
    return address is not None and any(address in network for network in networks)


def _address(text: str | None) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(text or "")
    except ValueError:
        return None
