"""google.cloud.run.v2.Services.

What belongs here: one function for each method: check, look up, change, answer. Changes are asked for here and come true
through the node; their operations end when that has reported.
"""

import uuid
from datetime import timedelta
from pathlib import Path
from typing import Any

from google.cloud.run_v2 import types
from google.cloud.run_v2.services.services.transports.rest_base import _BaseServicesRestTransport
from google.longrunning.operations_pb2 import Operation

from convergence_orchestration.local_gcp import messages, operations
from convergence_orchestration.local_gcp.cloud_run import conditions, names, rules
from convergence_orchestration.local_gcp.cloud_run.making import make_revision, needs_revision, new_etag
from convergence_orchestration.local_gcp.cloud_run.reconcile import settle
from convergence_orchestration.local_gcp.fields import require_id, require_name
from convergence_orchestration.local_gcp.iam import PolicyHolders
from convergence_orchestration.local_gcp.paging import page
from convergence_orchestration.local_gcp.refusals import already_exists, not_found
from convergence_orchestration.local_gcp.rpc import Call, rpc
from convergence_orchestration.local_gcp.store import Rows

_KEPT_AFTER_DELETION = timedelta(days=30)


class Services(PolicyHolders):
    """Services and their policies."""

    full_name = "google.cloud.run.v2.Services"
    host = "run.googleapis.com"
    http_rules = _BaseServicesRestTransport

    def __init__(self, data_dir: Path, front_door_port: int) -> None:
        self._data_dir = data_dir
        self._front_door_port = front_door_port

    def require_holder(self, resource: str, rows: Rows) -> None:
        """Refuse unless this is a service."""
        require_name(names.SERVICE, resource, "resource")
        _require_service(rows, resource)

    @rpc(writes=True)
    def create_service(self, request: types.CreateServiceRequest, call: Call) -> Operation:
        """A new service with a first revision, which gets all requests unless `traffic` says otherwise."""
        require_name(names.LOCATION, request.parent, "parent")
        require_id(names.SERVICE_ID, request.service_id, "service_id")
        name = f"{request.parent}/services/{request.service_id}"
        if call.rows.get(types.Service, name):
            already_exists(f"Resource '{request.service_id}'")
        return self._create(name, request.service, call, validate_only=request.validate_only)

    @rpc(writes=False)
    def get_service(self, request: types.GetServiceRequest, call: Call) -> types.Service:
        """One service."""
        require_name(names.SERVICE, request.name, "name")
        return _require_service(call.rows, request.name)

    @rpc(writes=False)
    def list_services(self, request: types.ListServicesRequest, call: Call) -> types.ListServicesResponse:
        """A location's services, the oldest first."""
        require_name(names.LOCATION, request.parent, "parent")
        found, token = page(call.rows.oldest_first, types.Service, request.parent, request)
        return types.ListServicesResponse(services=found, next_page_token=token)

    @rpc(writes=True)
    def update_service(self, request: types.UpdateServiceRequest, call: Call) -> Operation:
        """The service with the fields that the mask names as asked, and a new revision if its template changed."""
        asked = request.service
        require_name(names.SERVICE, asked.name, "service.name")
        current = call.rows.get(types.Service, asked.name)
        if current is None and request.allow_missing:
            return self._create(asked.name, asked, call, validate_only=request.validate_only)
        if current is None:
            not_found(f"Resource '{names.short(asked.name)}' of kind 'SERVICE'")
        rules.require_not_deleting(current)
        rules.require_etag(current.name, current.etag, asked.etag)
        changed = rules.merge(current, asked, request.update_mask)
        rules.complete(changed)
        if request.validate_only:
            return operations.done(names.operation_name(asked.name), changed)
        return self._change(current, changed, call)

    @rpc(writes=True)
    def delete_service(self, request: types.DeleteServiceRequest, call: Call) -> Operation:
        """The service, its revisions and its policy are gone when the operation is done."""
        require_name(names.SERVICE, request.name, "name")
        service = _require_service(call.rows, request.name)
        rules.require_not_deleting(service)
        rules.require_etag(service.name, service.etag, request.etag)
        if request.validate_only:
            return operations.done(names.operation_name(request.name), service)
        service.delete_time = call.now
        service.expire_time = call.now + _KEPT_AFTER_DELETION
        service.reconciling = True
        service.etag = new_etag()
        call.rows.update(service.name, service)
        _supersede(call.rows, service)
        return operations.begin(call.rows, names.operation_name(service.name), service.name, service)

    def _create(self, name: str, asked: types.Service, call: Call, *, validate_only: bool) -> Any:  # noqa: ANN401
        service = types.Service(
            {field: getattr(asked, field) for field in rules.CHANGEABLE if field in asked}
        )
        service.name = name
        rules.complete(service)
        if validate_only:
            return operations.done(names.operation_name(name), service)
        service.uid = str(uuid.uuid4())
        service.create_time = call.now
        parent = name.partition("/services/")[0]
        call.rows.insert(name, parent, service)
        return self._deploy(service, call, with_revision=True)

    def _change(self, current: types.Service, changed: types.Service, call: Call) -> Any:  # noqa: ANN401
        if messages.raw(current) == messages.raw(changed):
            operation = operations.begin(call.rows, names.operation_name(current.name), current.name, current)
            if not current.reconciling:
                settle(call.rows, current, call.now)
            return call.rows.get(Operation, operation.name)
        _supersede(call.rows, current)
        return self._deploy(changed, call, with_revision=needs_revision(current.template, changed.template))

    def _deploy(self, service: types.Service, call: Call, *, with_revision: bool) -> Any:  # noqa: ANN401
        service.generation += 1
        service.update_time = call.now
        service.etag = new_etag()
        service.uri = names.service_uri(service.name, self._front_door_port)
        service.urls = [service.uri]
        service.terminal_condition = conditions.waiting(conditions.READY)
        if with_revision:
            revision = make_revision(call.rows, self._data_dir, service, call.now)
            service.latest_created_revision = revision.name
        operation = operations.begin(call.rows, names.operation_name(service.name), service.name, service)
        settle(call.rows, service, call.now)
        return call.rows.get(Operation, operation.name)


def _require_service(rows: Rows, name: str) -> types.Service:
    return rows.get(types.Service, name) or not_found(f"Resource '{names.short(name)}' of kind 'SERVICE'")


def _supersede(rows: Rows, service: types.Service) -> None:
    """End the operations of changes that the next one overtakes: what they asked for will not come true as such."""
    for operation in operations.under_way(rows, service.name):
        message = f"Conflict for resource '{names.short(service.name)}': a later change took over."
        operations.fail(rows, operation, service, 10, message)
