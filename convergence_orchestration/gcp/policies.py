"""IAM policies of one service's resources: a binding is added by read-modify-write, and all others stay as they are.

What belongs here: the loop and what it changes. Which account gets which role is the business of whoever asks.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from google.api_core.exceptions import Aborted
from google.iam.v1.policy_pb2 import AuditLogConfig, Policy

from convergence_orchestration.errors import ErrorCode, TransientError
from convergence_orchestration.gcp.deadlines import each_attempt, repeatable
from convergence_orchestration.gcp.translate import Service, translated

if TYPE_CHECKING:
    from google.cloud.kms_v1 import KeyManagementServiceClient
    from google.cloud.resourcemanager_v3 import ProjectsClient
    from google.cloud.run_v2 import ServicesClient
    from google.cloud.secretmanager_v1 import SecretManagerServiceClient

    type PolicyClient = (
        KeyManagementServiceClient | SecretManagerServiceClient | ProjectsClient | ServicesClient
    )

_WITH_CONDITIONS: Final = 3
_RACES: Final = 5
"""So often the policy is read again because somebody else has changed it; then the call gives up."""


@dataclass(frozen=True)
class Binding:
    """A role and its members, under a condition if it is not empty."""

    role: str
    members: tuple[str, ...]
    condition: str = ""


@dataclass(frozen=True)
class LoggedService:
    """What Cloud Audit Logs keep of a service besides changes: DATA_READ, DATA_WRITE, ADMIN_READ."""

    service: str
    kinds: frozenset[str]


class Policies:
    """The policies of the resources that one of Google's clients reaches.

    Args:
        client: Cloud KMS's, Secret Manager's, Cloud Run's or Resource Manager's.
        service: the same for people.
    """

    def __init__(self, client: "PolicyClient", service: Service) -> None:
        self._client = client
        self._service = service

    def has_binding(self, resource: str, role: str, member: str) -> bool:
        """Whether `member` has `role` on the resource itself, without a condition."""
        with translated(f"reading the IAM policy of {resource}", self._service):
            return with_member(self._read(resource), role, member) is None

    def bindings(self, resource: str) -> list[Binding]:
        """Who has which role on the resource itself; what it inherits is the project's."""
        with translated(f"reading the IAM policy of {resource}", self._service):
            policy = self._read(resource)
        return [
            Binding(
                binding.role,
                tuple(sorted(binding.members)),
                binding.condition.expression if binding.HasField("condition") else "",
            )
            for binding in policy.bindings
        ]

    def logged(self, resource: str) -> list[LoggedService]:
        """What of access to a project's data is logged; a kind from which somebody is exempted does not count."""
        with translated(f"reading the IAM policy of {resource}", self._service):
            policy = self._read(resource)
        return [
            LoggedService(
                config.service,
                frozenset(
                    AuditLogConfig.LogType.Name(each.log_type)
                    for each in config.audit_log_configs
                    if not each.exempted_members
                ),
            )
            for config in policy.audit_configs
        ]

    def held(self, resource: str, permissions: Sequence[str]) -> frozenset[str]:
        """Those of the permissions that this client's caller has on the resource, however it came by them."""
        with translated(f"asking for permissions on {resource}", self._service):
            answer = self._client.test_iam_permissions(
                request={"resource": resource, "permissions": list(permissions)},
                retry=repeatable(),
                timeout=each_attempt(),
            )
        return frozenset(answer.permissions)

    def ensure_binding(self, resource: str, role: str, member: str, grant: str) -> bool:
        """Make sure that `member` has `role` on the resource without a condition: True if this call granted it.

        `grant` is the command that a person runs where this program may not; it is named in the error.

        Raises:
            PermanentError: PERMISSION_DENIED, NOT_FOUND.
            TransientError: UNAVAILABLE if others change the policy again and again.
        """
        with translated(f"granting {role} on {resource} to {member}", self._service, grant):
            for _ in range(_RACES):
                wanted = with_member(self._read(resource), role, member)
                if wanted is None:
                    return False
                if self._write(resource, wanted):
                    return True
        raise TransientError(
            ErrorCode.UNAVAILABLE,
            f"Try again: the IAM policy of {resource} was changed by somebody else {_RACES} times meanwhile.",
        )

    def _read(self, resource: str) -> Any:  # noqa: ANN401 protobuf's class has no types
        return self._client.get_iam_policy(
            request={"resource": resource, "options": {"requested_policy_version": _WITH_CONDITIONS}},
            retry=repeatable(),
            timeout=each_attempt(),
        )

    def _write(self, resource: str, policy: Any) -> bool:  # noqa: ANN401 protobuf's class has no types
        """False if the policy is not any more as it was read."""
        try:
            # repeated after a lost answer it meets its own change, is aborted, and the next look finds the binding
            self._client.set_iam_policy(
                request={"resource": resource, "policy": policy}, retry=repeatable(), timeout=each_attempt()
            )
        except Aborted:
            return False
        return True


def with_member(policy: Any, role: str, member: str) -> Any:  # noqa: ANN401 protobuf's class has no types
    """The policy in which `member` has `role` without a condition, all else kept; None if it is so already.

    A binding with a condition is another binding: it may not hold tomorrow.
    """
    plain = [each for each in policy.bindings if each.role == role and not each.HasField("condition")]
    if any(member in binding.members for binding in plain):
        return None
    wanted = Policy()
    wanted.CopyFrom(policy)
    wanted.version = _WITH_CONDITIONS
    for binding in wanted.bindings:
        if binding.role == role and not binding.HasField("condition"):
            binding.members.append(member)
            return wanted
    wanted.bindings.add(role=role, members=[member])
    return wanted
