"""The refusals of the emulated services.

What belongs here: the exception that a service raises, and its `google.rpc.ErrorInfo`. `grpc_edge.py` and `rest_edge.py`
turn it into what a client sees.
"""

from typing import NoReturn

from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc import status_pb2
from google.rpc.error_details_pb2 import ErrorInfo

from convergence_orchestration.local_gcp.codes import BY_NAME, Code


class Refusal(Exception):  # noqa: N818 an answer of the emulated service, not an error of ours
    """The service's answer is this canonical code; `reason` is the ErrorInfo's."""

    def __init__(self, code: Code, message: str, reason: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.reason = reason or code.name

    def status(self, domain: str) -> status_pb2.Status:
        """The google.rpc.Status with an ErrorInfo of this domain, the service's host name."""
        detail = AnyMessage()
        detail.Pack(ErrorInfo(reason=self.reason, domain=domain))
        return status_pb2.Status(code=self.code.number, message=self.message, details=[detail])


def refuse(code: str, message: str, reason: str | None = None) -> NoReturn:
    """Answer with the canonical code of this name.

    Raises:
        Refusal: always.
    """
    raise Refusal(BY_NAME[code], message, reason)


def invalid(message: str) -> NoReturn:
    """Answer INVALID_ARGUMENT."""
    refuse("INVALID_ARGUMENT", message)


def not_found(name: str) -> NoReturn:
    """Answer NOT_FOUND for a resource."""
    refuse("NOT_FOUND", f"{name} not found.")


def already_exists(name: str) -> NoReturn:
    """Answer ALREADY_EXISTS for a resource."""
    refuse("ALREADY_EXISTS", f"{name} already exists.")


def failed_precondition(message: str) -> NoReturn:
    """Answer FAILED_PRECONDITION."""
    refuse("FAILED_PRECONDITION", message)


def not_served(what: str) -> NoReturn:
    """Answer UNIMPLEMENTED: Google Cloud could, the local cloud does not."""
    refuse("UNIMPLEMENTED", f"{what} is not served by the local cloud.")
