"""The services over gRPC, for the unmodified official clients.

What belongs here: carrying requests and answers, with Google's rich error details. Nothing is decided here.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
from grpc_status import rpc_status

from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.local_gcp import messages
from convergence_orchestration.local_gcp.dispatch import Dispatcher
from convergence_orchestration.local_gcp.enforcement import caller_of
from convergence_orchestration.local_gcp.refusals import Refusal
from convergence_orchestration.local_gcp.rpc import Method

_THREADS = 16
_STOP_SECONDS = 1.0


class GrpcEdge:
    """A gRPC server without TLS on one port of 127.0.0.1 (0: any).

    Raises:
        PermanentError: INVALID_SETTINGS, the port is taken.
    """

    def __init__(self, dispatcher: Dispatcher, port: int) -> None:
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="grpc")
        # Without the option two servers could share one port and answer in turns.
        self._server = grpc.server(self._threads, options=[("grpc.so_reuseport", 0)])
        self._server.add_generic_rpc_handlers(tuple(_handlers(dispatcher)))
        try:
            self.port: int = self._server.add_insecure_port(f"127.0.0.1:{port}")
        except RuntimeError:
            message = f"Choose another --grpc-port: {port} is taken."
            raise PermanentError(ErrorCode.INVALID_SETTINGS, message) from None

    def start(self) -> None:
        """Answer from now on."""
        self._server.start()

    def stop(self) -> None:
        """Take no more calls, give those under way a second, and return when all is quiet."""
        self._server.stop(_STOP_SECONDS).wait()
        self._threads.shutdown()


def _handlers(dispatcher: Dispatcher) -> list[Any]:
    return [
        grpc.method_handlers_generic_handler(
            service.full_name, {method.name: _handler(dispatcher, method) for method in service.methods()}
        )
        for service in dispatcher.services
    ]


def _handler(dispatcher: Dispatcher, method: Method) -> Any:  # noqa: ANN401 grpc has no types
    return grpc.unary_unary_rpc_method_handler(
        _behaviour(dispatcher, method),
        request_deserializer=lambda body: messages.from_bytes(method.request, body),
        response_serializer=messages.to_bytes,
    )


def _behaviour(dispatcher: Dispatcher, method: Method) -> Callable[[Any, grpc.ServicerContext], Any]:
    def behave(request: Any, context: grpc.ServicerContext) -> Any:  # noqa: ANN401 any request, its response
        try:
            return dispatcher.answer(method, request, caller_of(_authorization(context)))
        except Refusal as refusal:
            context.abort_with_status(rpc_status.to_status(refusal.status(method.host)))

    return behave


def _authorization(context: grpc.ServicerContext) -> str:
    return next((str(value) for name, value in context.invocation_metadata() if name == "authorization"), "")
