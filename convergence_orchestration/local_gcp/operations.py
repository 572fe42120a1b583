"""google.longrunning.Operations, for every service of this process that has long-running operations.

What belongs here: keeping operations, answering for them, and ending them. What one waits for is its service's business.
An operation's parent in the store is the resource that it changes, so that this one's end can find it.
"""

from typing import Any

from google.cloud.run_v2.services.services.transports.rest_base import _BaseServicesRestTransport
from google.longrunning.operations_pb2 import (
    DeleteOperationRequest,
    GetOperationRequest,
    ListOperationsRequest,
    ListOperationsResponse,
    Operation,
)

from convergence_orchestration.local_gcp import messages
from convergence_orchestration.local_gcp.refusals import not_found
from convergence_orchestration.local_gcp.rpc import Call, Service, rpc
from convergence_orchestration.local_gcp.store import Rows

_NEWEST = 50
"""How many operations of one resource can be under way; each change of it ends those before."""


class Operations(Service):
    """Reading and forgetting operations; waiting is the client's."""

    full_name = "google.longrunning.Operations"
    host = "run.googleapis.com"
    http_rules = _BaseServicesRestTransport

    @rpc(writes=False)
    def get_operation(self, request: GetOperationRequest, call: Call) -> Operation:
        """One operation, done or not."""
        return call.rows.get(Operation, request.name) or not_found(f"Operation [{request.name}]")

    @rpc(writes=False)
    def list_operations(self, request: ListOperationsRequest, call: Call) -> ListOperationsResponse:
        """All operations below a location, in one page."""
        prefix = f"{request.name}/operations/"
        found = [found for found in call.rows.of_kind(Operation) if found.name.startswith(prefix)]
        return ListOperationsResponse(operations=found)

    @rpc(writes=True)
    def delete_operation(self, request: DeleteOperationRequest, call: Call) -> None:
        """Forget an operation; what it does goes on."""
        self.get_operation(GetOperationRequest(name=request.name), call)
        call.rows.delete(Operation, request.name)


def begin(rows: Rows, name: str, of: str, metadata: Any) -> Any:  # noqa: ANN401 protobuf's class has no types
    """A new operation that changes the resource `of`, not done yet."""
    operation = Operation(name=name)
    operation.metadata.Pack(messages.raw(metadata))
    rows.insert(name, of, operation)
    return operation


def done(name: str, response: Any) -> Any:  # noqa: ANN401 protobuf's class has no types
    """An operation that is done as it is answered, and not kept."""
    operation = Operation(name=name, done=True)
    operation.metadata.Pack(messages.raw(response))
    operation.response.Pack(messages.raw(response))
    return operation


def under_way(rows: Rows, of: str) -> list[Any]:
    """The operations that change the resource `of` and are not done, the oldest first."""
    found = rows.newest_first(Operation, of, 0, _NEWEST)
    return [operation for _, operation in reversed(found) if not operation.done]


def say(rows: Rows, operation: Any, metadata: Any) -> None:  # noqa: ANN401 any messages
    """Have an operation that goes on tell how far it is."""
    operation.metadata.Pack(messages.raw(metadata))
    rows.update(operation.name, operation)


def succeed(rows: Rows, operation: Any, metadata: Any, response: Any) -> None:  # noqa: ANN401 any messages
    """End an operation with its response."""
    operation.done = True
    operation.metadata.Pack(messages.raw(metadata))
    operation.response.Pack(messages.raw(response))
    rows.update(operation.name, operation)


def fail(rows: Rows, operation: Any, metadata: Any, code: int, message: str) -> None:  # noqa: ANN401 any messages
    """End an operation with an error, by the number of its canonical code."""
    operation.done = True
    operation.metadata.Pack(messages.raw(metadata))
    operation.error.code, operation.error.message = code, message
    rows.update(operation.name, operation)
