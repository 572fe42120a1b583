"""Calls of an emulator in a service account's name: what impersonated credentials are for Google.

What belongs here: the header that `local_gcp/enforcement.py` reads.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import grpc


class _Details(NamedTuple):
    method: str
    timeout: float | None
    metadata: Any
    credentials: Any
    wait_for_ready: bool | None
    compression: Any


class _Caller(grpc.UnaryUnaryClientInterceptor):  # type: ignore[misc]
    """Adds the caller's name to each call."""

    def __init__(self, email: str) -> None:
        self._header = ("authorization", f"Bearer local-cloud/{email}")

    def intercept_unary_unary(
        self,
        continuation: Callable[[Any, Any], Any],
        client_call_details: Any,  # noqa: ANN401 grpc has no types
        request: Any,  # noqa: ANN401 any request
    ) -> Any:  # noqa: ANN401 grpc has no types
        """The call with the header."""
        details = client_call_details
        named = _Details(
            details.method,
            details.timeout,
            [*(details.metadata or ()), self._header],
            details.credentials,
            details.wait_for_ready,
            details.compression,
        )
        return continuation(named, request)


def as_caller(channel: grpc.Channel, email: str) -> grpc.Channel:
    """The channel whose calls are the service account's, with its rights and no others."""
    return grpc.intercept_channel(channel, _Caller(email))
