"""Who may do what: a call that names a service account is refused unless a binding grants what it needs.

What belongs here: the decision. A caller names itself by `authorization: Bearer local-cloud/EMAIL`; whoever sends no such
token is the project's owner. Bindings of the resource and of what it lies in count, as far as policies are kept here: of keys,
key rings, secrets and projects. The tables are `permissions.py`, conditions `conditions.py`.
"""

import re
from typing import Any

from convergence_orchestration.local_gcp.conditions import holds
from convergence_orchestration.local_gcp.permissions import HELD, KMS_POLICIES, NEEDED, OPEN
from convergence_orchestration.local_gcp.policies import policy_of
from convergence_orchestration.local_gcp.refusals import refuse
from convergence_orchestration.local_gcp.rpc import Call

_TOKEN = re.compile(r"Bearer local-cloud/([^@\s]+@[^@\s]+)")
_EVERYBODY = frozenset({"allUsers", "allAuthenticatedUsers"})


def caller_of(authorization: str) -> str | None:
    """The service account that an authorization header names; None is the owner."""
    found = _TOKEN.fullmatch(authorization)
    return found[1] if found else None


def require_permission(method: str, request: Any, call: Call) -> None:  # noqa: ANN401 any request
    """Check that the caller may call this method with this request.

    Raises:
        Refusal: PERMISSION_DENIED, in Google's words.
    """
    if call.caller is None or method in OPEN:
        return
    permission, field = NEEDED.get(method, (method, "parent"))
    resource = _field(request, field)
    if method.startswith(KMS_POLICIES) and "/cryptoKeys/" not in resource:
        permission = permission.replace("cryptoKeys", "keyRings")
    if not is_granted(permission, resource, call):
        preposition = "for" if permission.startswith("secretmanager.") else "on"
        refuse(
            "PERMISSION_DENIED",
            f"Permission '{permission}' denied {preposition} resource '{resource}' (or it may not exist).",
            "IAM_PERMISSION_DENIED",
        )


def is_granted(permission: str, resource: str, call: Call) -> bool:
    """Whether the caller holds this permission on this resource."""
    if call.caller is None:
        return True
    members = {f"serviceAccount:{call.caller}", *_EVERYBODY}
    return any(
        permission in HELD.get(binding.role, ())
        and members.intersection(binding.members)
        and (not binding.HasField("condition") or holds(binding.condition.expression, resource, call.now))
        for holder in _holders(resource)
        for binding in policy_of(call.rows, holder).bindings
    )


def _holders(resource: str) -> list[str]:
    """The resource and what it lies in: `a/b/c/d` -> `a/b/c/d`, `a/b`."""
    parts = resource.split("/")
    return ["/".join(parts[:length]) for length in range(len(parts), 0, -2)]


def _field(request: Any, path: str) -> str:  # noqa: ANN401 any request
    value = request
    for name in path.split("."):
        value = getattr(value, name, "")
    return str(value)
