"""Names of Cloud Run's resources.

What belongs here: their form, their parts, and the addresses under which services answer.
"""

import secrets
import uuid

from convergence_orchestration.local_gcp.fields import name_pattern
from convergence_orchestration.local_gcp.front_door_contract import host_of

SERVICE_ID = r"[a-z](?:[a-z0-9-]{0,47}[a-z0-9])?"
REVISION_ID = r"[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?"
TAG = r"[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?"
MAX_TAG_AND_SERVICE = 46
"""A tag and a service's name share one label of a host name."""
_LOCATION = "projects/{project}/locations/{location}"
_SUFFIX = "bcdfghjklmnpqrstvwxz2456789"

LOCATION = name_pattern(_LOCATION)
SERVICE = name_pattern(_LOCATION + "/services/{service}", service=SERVICE_ID)
REVISION = name_pattern(
    _LOCATION + "/services/{service}/revisions/{revision}", service=SERVICE_ID, revision=REVISION_ID
)


def short(name: str) -> str:
    """The last part of a name."""
    return name.rpartition("/")[2]


def revision_name(service: str, revision: str) -> str:
    """The full name of a service's revision."""
    return f"{service}/revisions/{revision}"


def service_of(revision: str) -> str:
    """The full name of the service that a revision is one of."""
    return revision.partition("/revisions/")[0]


def generated_revision(service: str, generation: int) -> str:
    """A short revision name as Cloud Run makes them: `convergence-api-00003-abc`."""
    suffix = "".join(secrets.choice(_SUFFIX) for _ in range(3))
    return f"{short(service)}-{generation:05d}-{suffix}"


def operation_name(resource: str) -> str:
    """A name for a new operation on a service or a revision."""
    return f"{resource.partition('/services/')[0]}/operations/{uuid.uuid4()}"


def service_uri(service: str, port: int) -> str:
    """Where a service answers; 443 is not written."""
    return f"https://{host_of(short(service))}" + ("" if port == 443 else f":{port}")  # noqa: PLR2004 HTTPS


def tag_uri(uri: str, tag: str) -> str:
    """Where a tag of the service with this `uri` answers."""
    host, _, rest = uri.removeprefix("https://").partition(".localhost")
    return f"https://{host_of(host, tag)}{rest}" if tag else uri
