"""google.cloud.resourcemanager.v3.Projects, as far as it holds policies.

What belongs here: which names are projects'. Every project exists; what its policy is at first, `policies.py` says.
"""

from google.cloud.resourcemanager_v3.services.projects.transports.rest_base import _BaseProjectsRestTransport

from convergence_orchestration.local_gcp.fields import name_pattern, require_name
from convergence_orchestration.local_gcp.iam import PolicyHolders
from convergence_orchestration.local_gcp.store import Rows

_PROJECT = name_pattern("projects/{project}")


class Projects(PolicyHolders):
    """Policies of projects."""

    full_name = "google.cloud.resourcemanager.v3.Projects"
    host = "cloudresourcemanager.googleapis.com"
    http_rules = _BaseProjectsRestTransport

    def require_holder(self, resource: str, rows: Rows) -> None:
        """Refuse unless this is a project's name."""
        del rows
        require_name(_PROJECT, resource, "resource")
