"""google.cloud.run.v2.Revisions.

What belongs here: reading revisions and deleting those that nobody is sent to.
"""

from google.cloud.run_v2 import types
from google.cloud.run_v2.services.revisions.transports.rest_base import _BaseRevisionsRestTransport
from google.longrunning.operations_pb2 import Operation

from convergence_orchestration.local_gcp import operations
from convergence_orchestration.local_gcp.cloud_run import names, rules
from convergence_orchestration.local_gcp.cloud_run.routing import named_revisions
from convergence_orchestration.local_gcp.fields import require_name
from convergence_orchestration.local_gcp.paging import page
from convergence_orchestration.local_gcp.refusals import failed_precondition, not_found
from convergence_orchestration.local_gcp.rpc import Call, Service, rpc


class Revisions(Service):
    """Revisions; they are made by changing their service."""

    full_name = "google.cloud.run.v2.Revisions"
    host = "run.googleapis.com"
    http_rules = _BaseRevisionsRestTransport

    @rpc(writes=False)
    def get_revision(self, request: types.GetRevisionRequest, call: Call) -> types.Revision:
        """One revision."""
        require_name(names.REVISION, request.name, "name")
        found = call.rows.get(types.Revision, request.name)
        return found or not_found(f"Resource '{names.short(request.name)}' of kind 'REVISION'")

    @rpc(writes=False)
    def list_revisions(self, request: types.ListRevisionsRequest, call: Call) -> types.ListRevisionsResponse:
        """A service's revisions, the newest first."""
        require_name(names.SERVICE, request.parent, "parent")
        found, token = page(call.rows.newest_first, types.Revision, request.parent, request)
        return types.ListRevisionsResponse(revisions=found, next_page_token=token)

    @rpc(writes=True)
    def delete_revision(self, request: types.DeleteRevisionRequest, call: Call) -> Operation:
        """The revision is gone; its instances, if it has any, end soon after."""
        revision = self.get_revision(types.GetRevisionRequest(name=request.name), call)
        rules.require_etag(revision.name, revision.etag, request.etag)
        service = call.rows.get(types.Service, names.service_of(revision.name))
        if service is not None:
            _require_retired(service, revision.name)
        if not request.validate_only:
            call.rows.delete(types.Revision, revision.name)
        return operations.done(names.operation_name(revision.name), revision)


def _require_retired(service: types.Service, revision: str) -> None:
    short = names.short(revision)
    if revision == service.latest_created_revision:
        failed_precondition("The latest created Revision of a Service cannot be directly deleted.")
    if short in named_revisions(service) or revision == service.latest_ready_revision:
        failed_precondition(
            f"Revision '{short}' has traffic or a tag and cannot be deleted. Take both from it first."
        )
