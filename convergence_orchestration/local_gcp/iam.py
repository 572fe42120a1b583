"""IAM policies of resources.

What belongs here: get, set and test for whatever holds a policy, with Google's etags. Who is kept out by them is decided in
`enforcement.py`. Secret Manager has the three methods in its own service, Cloud KMS in google.iam.v1.IAMPolicy.
"""

import os
import re
from typing import Any

from google.iam.v1.iam_policy_pb2 import (
    GetIamPolicyRequest,
    SetIamPolicyRequest,
    TestIamPermissionsRequest,
    TestIamPermissionsResponse,
)
from google.iam.v1.policy_pb2 import Policy

from convergence_orchestration.local_gcp.enforcement import is_granted
from convergence_orchestration.local_gcp.policies import policy_of
from convergence_orchestration.local_gcp.refusals import invalid, refuse
from convergence_orchestration.local_gcp.rpc import Call, Service, rpc
from convergence_orchestration.local_gcp.store import Rows

_ROLE = re.compile(r"(roles|(projects|organizations)/[^/]+/roles)/[A-Za-z0-9_.]+")
_MEMBER = re.compile(
    r"allUsers|allAuthenticatedUsers"
    r"|(user|serviceAccount|group):[^@\s]+@[^@\s]+|domain:\S+"
    r"|(principal|principalSet)://\S+|(projectOwner|projectEditor|projectViewer):\S+|deleted:\S+"
)
_PERMISSION = re.compile(r"[a-z]+(\.[A-Za-z]+){2}")
_VERSIONS = (0, 1, 3)
_VERSION_WITH_CONDITIONS = 3


class PolicyHolders(Service):
    """The three IAM methods for the resources of one service."""

    def require_holder(self, resource: str, rows: Rows) -> None:
        """Refuse unless there is a resource of this name that holds a policy.

        Raises:
            Refusal: INVALID_ARGUMENT or NOT_FOUND.
        """
        raise NotImplementedError

    @rpc(writes=False)
    def get_iam_policy(self, request: GetIamPolicyRequest, call: Call) -> Policy:
        """The policy, empty if none was set."""
        self.require_holder(request.resource, call.rows)
        return policy_of(call.rows, request.resource)

    @rpc(writes=True)
    def set_iam_policy(self, request: SetIamPolicyRequest, call: Call) -> Policy:
        """The policy in place of the one before; with an etag, only if that one is still as it was read."""
        self.require_holder(request.resource, call.rows)
        _require_valid(request.policy)
        current = policy_of(call.rows, request.resource)
        if request.policy.etag and request.policy.etag != current.etag:
            message = "There were concurrent policy changes. Please retry the whole read-modify-write."
            refuse("ABORTED", message)
        policy = Policy(version=max(request.policy.version, 1), etag=os.urandom(8))
        policy.bindings.extend(binding for binding in request.policy.bindings if binding.members)
        policy.audit_configs.extend(request.policy.audit_configs)
        delete_policy(call.rows, request.resource)
        call.rows.insert(request.resource, request.resource, policy)
        return policy

    @rpc(writes=False)
    def test_iam_permissions(
        self, request: TestIamPermissionsRequest, call: Call
    ) -> TestIamPermissionsResponse:
        """Those of the permissions asked for that the caller has; the project's owner has all."""
        self.require_holder(request.resource, call.rows)
        for permission in request.permissions:
            if _PERMISSION.fullmatch(permission) is None:
                invalid(f"Permission {permission} is not valid for this resource.")
        held = [each for each in request.permissions if is_granted(each, request.resource, call)]
        return TestIamPermissionsResponse(permissions=held)


def delete_policy(rows: Rows, resource: str) -> None:
    """Forget the policy of a resource."""
    rows.delete(Policy, resource)


def _require_valid(policy: Any) -> None:  # noqa: ANN401 protobuf's class has no types
    if policy.version not in _VERSIONS:
        invalid(f"Policy version {policy.version} is not one of 0, 1 and 3.")
    for binding in policy.bindings:
        if _ROLE.fullmatch(binding.role) is None:
            invalid(f"Role {binding.role} is not supported for this resource.")
        if binding.HasField("condition") and policy.version != _VERSION_WITH_CONDITIONS:
            invalid("A policy with a condition must have version 3.")
        for member in binding.members:
            if _MEMBER.fullmatch(member) is None:
                invalid(f"The member {member} is of an unknown type or not well-formed.")
