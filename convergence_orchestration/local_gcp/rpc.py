"""What a service of the local cloud looks like, so that any edge can serve it.

What belongs here: the form, no transport. A service is a class; each of its functions marked with `@rpc` serves the
method whose name is the function's in camel case, and the function's annotations name the official request and
response classes. To add a service: write such a class and list it in `server.py`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, get_type_hints

from google.protobuf.empty_pb2 import Empty

from convergence_orchestration.local_gcp.store import Due, Rows


@dataclass(frozen=True)
class Call:
    """What a function may use besides its request: one transaction, the time at its start (UTC), and who calls.

    Attributes:
        caller: a service account's e-mail; None is the project's owner, who may do everything.
    """

    rows: Rows
    now: datetime
    caller: str | None = None


@dataclass(frozen=True)
class Method:
    """One method: its names, the classes of its messages, whether it changes anything, and what answers it."""

    service: str
    host: str
    name: str
    request: type[Any]
    response: type[Any]
    writes: bool
    answer: Callable[[Any, Call], Any]

    @property
    def full_name(self) -> str:
        """As in the faults file: `google.cloud.kms.v1.KeyManagementService/Encrypt`."""
        return f"{self.service}/{self.name}"


class Service:
    """Base of all services.

    Attributes:
        full_name: the service's name in its .proto file.
        host: the service's name on the internet, the domain of its errors' details.
        http_rules: base class of the official client's REST transport, which carries the service's URL rules.
        events: names of the timers that this service sets and that `elapsed` is called for.
    """

    full_name: ClassVar[str]
    host: ClassVar[str]
    http_rules: ClassVar[type[Any]]
    events: ClassVar[tuple[str, ...]] = ()

    def elapsed(self, due: Due, call: Call) -> None:
        """Do what a timer of this service was set for; the timer itself is gone, and may be set again."""
        raise NotImplementedError

    def methods(self) -> list[Method]:
        """All methods that this service answers."""
        functions = (getattr(self, attribute) for attribute in dir(type(self)))
        return [self._method(function) for function in functions if hasattr(function, "_rpc_writes")]

    def _method(self, function: Any) -> Method:  # noqa: ANN401 a bound method with any signature
        hints = get_type_hints(function)
        response = hints["return"]
        return Method(
            service=self.full_name,
            host=self.host,
            name=function.__name__.title().replace("_", ""),
            request=hints["request"],
            response=Empty if response is type(None) else response,
            writes=function._rpc_writes,  # noqa: SLF001 set by `rpc` below
            answer=function,
        )


def rpc[F: Callable[..., Any]](*, writes: bool) -> Callable[[F], F]:
    """Mark a function of a service as a method; only one that `writes` gets a transaction that may."""

    def mark(function: F) -> F:
        function._rpc_writes = writes  # type: ignore[attr-defined]  # noqa: SLF001 read above
        return function

    return mark
