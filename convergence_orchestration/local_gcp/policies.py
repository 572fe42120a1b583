"""The policy of a resource, also of one that nobody has set one for.

What belongs here: reading it. Every project is as the guide's prerequisites leave it: the environments' service accounts are
BigQuery's administrators. Setting policies is `iam.py`'s.
"""

import re
from typing import Any

from google.iam.v1.policy_pb2 import Policy

from convergence_orchestration.local_gcp.store import Rows

_EMPTY_ETAG = b"\x00\x20\x01"  # "ACAB", what Google answers for a resource whose policy was never set
_PROJECT = re.compile(r"projects/[^/]+")
_ACCOUNTS = ("convergence-api-dev", "convergence-api-staging", "convergence-api-prod")
_WAREHOUSE = "roles/bigquery.admin"


def policy_of(rows: Rows, resource: str) -> Any:  # noqa: ANN401 protobuf's class has no types
    """The policy as it was set, or the one that such a resource begins with."""
    return rows.get(Policy, resource) or _first(resource)


def _first(resource: str) -> Any:  # noqa: ANN401 protobuf's class has no types
    policy = Policy(etag=_EMPTY_ETAG)
    if _PROJECT.fullmatch(resource):
        project = resource.removeprefix("projects/")
        members = [f"serviceAccount:{name}@{project}.iam.gserviceaccount.com" for name in _ACCOUNTS]
        policy.bindings.add(role=_WAREHOUSE, members=members)
    return policy
