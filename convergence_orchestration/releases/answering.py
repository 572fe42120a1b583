"""HTTP to Cloud Run's own addresses, of services and of tags.

What belongs here: whom to trust and how to find the host. `*.localhost` means this machine (RFC 6761), which not every
resolver knows; the certificate is checked under the name that was asked for all the same.
"""

import ssl

import httpx

_LOOPBACK = "127.0.0.1"
_LOCAL = "all://*.localhost"
_OWN = "all://127.0.0.1"  # no proxy of the environment knows the way there
_SECONDS = 10.0


def client(authority_file: str | None, seconds: float | httpx.Timeout = _SECONDS) -> httpx.Client:
    """A client for one answer after the other; each has so many seconds."""
    trusted = _trusted(authority_file)
    return httpx.Client(
        verify=trusted, timeout=seconds, mounts={_LOCAL: _Loopback(verify=trusted), _OWN: None}
    )


def async_client(authority_file: str | None, seconds: float = _SECONDS) -> httpx.AsyncClient:
    """The same for whoever waits for nobody."""
    trusted = _trusted(authority_file)
    mounts = {_LOCAL: _AsyncLoopback(verify=trusted), _OWN: None}
    return httpx.AsyncClient(verify=trusted, timeout=seconds, mounts=mounts)


def load_client(authority_file: str | None, connections: int, seconds: float = _SECONDS) -> httpx.AsyncClient:
    """A client for many at once, over at most so many connections."""
    trusted = _trusted(authority_file)
    limits = httpx.Limits(max_connections=connections, max_keepalive_connections=connections)
    mounts = {_LOCAL: _AsyncLoopback(verify=trusted, limits=limits), _OWN: None}
    return httpx.AsyncClient(verify=trusted, timeout=seconds, limits=limits, mounts=mounts)


def _trusted(authority_file: str | None) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=authority_file)


class _Loopback(httpx.HTTPTransport):
    def handle_request(self, request: httpx.Request) -> httpx.Response:
        return super().handle_request(_to_loopback(request))


class _AsyncLoopback(httpx.AsyncHTTPTransport):
    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return await super().handle_async_request(_to_loopback(request))


def _to_loopback(request: httpx.Request) -> httpx.Request:
    return httpx.Request(
        request.method,
        request.url.copy_with(host=_LOOPBACK),
        headers=request.headers,  # with the Host that was asked for
        stream=request.stream,
        extensions={**request.extensions, "sni_hostname": request.url.host},
    )
