"""What a service may look like.

What belongs here: checks of a service that is created or changed, the defaults of what was left out, and which fields are
the caller's. No rows, no time.
"""

import re
from datetime import timedelta
from typing import Any

from google.cloud.run_v2 import (
    Container,
    ContainerPort,
    Probe,
    RevisionTemplate,
    Service,
    TCPSocketAction,
    TrafficTarget,
    TrafficTargetAllocationType,
)
from google.protobuf.field_mask_pb2 import FieldMask

from convergence_orchestration.local_gcp import messages
from convergence_orchestration.local_gcp.cloud_run import names
from convergence_orchestration.local_gcp.fields import require_labels
from convergence_orchestration.local_gcp.refusals import failed_precondition, invalid, not_served, refuse

_Allocation: Any = TrafficTargetAllocationType
LATEST = _Allocation.TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST
REVISION = _Allocation.TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION
CHANGEABLE = (
    "annotations",
    "binary_authorization",
    "client",
    "client_version",
    "custom_audiences",
    "default_uri_disabled",
    "description",
    "ingress",
    "invoker_iam_disabled",
    "labels",
    "launch_stage",
    "scaling",
    "template",
    "traffic",
)
_WHOLE = 100
_DEFAULT_TIMEOUT = timedelta(seconds=300)
_MAX_TIMEOUT = timedelta(hours=1)
_DEFAULT_CONCURRENCY = 80
_MAX_CONCURRENCY = 1000
_DEFAULT_MAX_INSTANCES = 100
_LONGEST_START_SECONDS = 240
_RESERVED = frozenset({"PORT", "K_SERVICE", "K_REVISION", "K_CONFIGURATION"})
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def merge(current: Service, asked: Service, mask: FieldMask) -> Service:
    """The service with the fields that the mask names as asked; an empty mask or `*` names all that may be changed.

    Raises:
        Refusal: INVALID_ARGUMENT, the mask names what is not the caller's or does not exist.
    """
    paths = list(CHANGEABLE) if not mask.paths or list(mask.paths) == ["*"] else list(mask.paths)
    wrong = sorted(path for path in paths if path.partition(".")[0] not in CHANGEABLE)
    if wrong:
        invalid(f"update_mask names {', '.join(wrong)}; only these may be changed: {', '.join(CHANGEABLE)}.")
    whole = FieldMask(paths=paths)
    if not whole.IsValidForDescriptor(messages.raw_type(Service).DESCRIPTOR):
        invalid(f"update_mask names a field that a Service does not have: {', '.join(sorted(paths))}.")
    changed = Service(current)
    whole.MergeMessage(messages.raw(asked), messages.raw(changed), True, True)  # noqa: FBT003 replace, not merge
    return changed


def complete(service: Service) -> None:
    """Check what the caller says of a service and fill in what was left out.

    Raises:
        Refusal: INVALID_ARGUMENT or UNIMPLEMENTED.
    """
    require_labels(service.labels)
    _complete_template(service.template, names.short(service.name))
    if not service.traffic:
        service.traffic = [TrafficTarget(type_=LATEST, percent=_WHOLE)]
    _require_traffic(service)


def require_etag(resource: str, current: str, asked: str) -> None:
    """Check the etag that came with a change, if one came.

    Raises:
        Refusal: ABORTED, the resource has changed since.
    """
    if asked and asked != current:
        message = f"Conflict for resource '{names.short(resource)}': version '{asked}' was specified but current version is '{current}'."
        refuse("ABORTED", message)


def require_not_deleting(service: Service) -> None:
    """Check that a service is not on its way out.

    Raises:
        Refusal: FAILED_PRECONDITION.
    """
    if service.delete_time:
        failed_precondition(f"Service '{names.short(service.name)}' is being deleted.")


def _complete_template(template: RevisionTemplate, service: str) -> None:
    name = template.revision
    if name and not (name.startswith(f"{service}-") and re.fullmatch(names.REVISION_ID, name)):
        invalid(
            f"template.revision [{name}] must begin with [{service}-] and have at most 63 lower-case letters, digits and -."
        )
    require_labels(template.labels)
    if template.volumes:
        not_served("A service with volumes")
    if len(template.containers) > 1:
        not_served("A service with more than one container")
    if not template.containers or not template.containers[0].image:
        invalid("template.containers must have one container with an image.")
    template.timeout = template.timeout or _DEFAULT_TIMEOUT
    if not timedelta(0) < template.timeout <= _MAX_TIMEOUT:
        invalid("template.timeout must be more than 0 s and at most 3600 s.")
    template.max_instance_request_concurrency = (
        template.max_instance_request_concurrency or _DEFAULT_CONCURRENCY
    )
    if not 0 < template.max_instance_request_concurrency <= _MAX_CONCURRENCY:
        invalid(f"template.max_instance_request_concurrency must be from 1 to {_MAX_CONCURRENCY}.")
    _complete_scaling(template)
    _complete_container(template.containers[0])


def _complete_scaling(template: RevisionTemplate) -> None:
    scaling = template.scaling
    scaling.max_instance_count = scaling.max_instance_count or max(
        _DEFAULT_MAX_INSTANCES, scaling.min_instance_count
    )
    if not 0 <= scaling.min_instance_count <= scaling.max_instance_count:
        invalid("template.scaling.min_instance_count must be from 0 to max_instance_count.")


def _complete_container(container: Container) -> None:
    container.ports = container.ports or [ContainerPort(name="http1", container_port=8080)]
    for variable in container.env:
        if _VARIABLE.fullmatch(variable.name) is None or variable.name in _RESERVED:
            invalid(f"The environment variable [{variable.name}] is reserved or no name of a variable.")
        if "value_source" in variable and not variable.value_source.secret_key_ref.secret:
            invalid(f"The environment variable [{variable.name}] must name a secret.")
    if len({variable.name for variable in container.env}) < len(container.env):
        invalid("An environment variable is given twice.")
    limits = container.resources.limits
    limits.setdefault("cpu", "1000m")
    limits.setdefault("memory", "512Mi")
    _complete_probe(container)


def _complete_probe(container: Container) -> None:
    if "startup_probe" not in container:
        port = container.ports[0].container_port
        action = TCPSocketAction(port=port)
        container.startup_probe = Probe(
            timeout_seconds=240, period_seconds=240, failure_threshold=1, tcp_socket=action
        )
        return
    probe = container.startup_probe
    if "grpc" in probe:
        not_served("A gRPC start-up probe")
    probe.period_seconds = probe.period_seconds or 10
    probe.timeout_seconds = probe.timeout_seconds or 1
    probe.failure_threshold = probe.failure_threshold or 3
    if probe.timeout_seconds > probe.period_seconds:
        invalid("startup_probe.timeout_seconds must not be more than period_seconds.")
    if not 0 < probe.period_seconds * probe.failure_threshold <= _LONGEST_START_SECONDS:
        invalid(
            f"startup_probe.period_seconds x failure_threshold must be at most {_LONGEST_START_SECONDS} s."
        )


def _require_traffic(service: Service) -> None:
    tags = [target.tag for target in service.traffic if target.tag]
    for target in service.traffic:
        if target.type_ not in (LATEST, REVISION):
            target.type_ = REVISION if target.revision else LATEST
        if (target.type_ == REVISION) != bool(target.revision):
            invalid("A traffic target must name a revision, or be of type LATEST and name none.")
        if not 0 <= target.percent <= _WHOLE:
            invalid(f"traffic.percent [{target.percent}] must be from 0 to 100.")
    for tag in tags:
        is_long = len(tag) + len(names.short(service.name)) > names.MAX_TAG_AND_SERVICE
        if re.fullmatch(names.TAG, tag) is None or is_long:
            invalid(
                f"The tag [{tag}] must be lower-case letters, digits and -, with the service's name at most {names.MAX_TAG_AND_SERVICE}."
            )
    if len(set(tags)) < len(tags):
        invalid("A tag can be given to one traffic target only.")
    total = sum(target.percent for target in service.traffic)
    if total != _WHOLE:
        invalid(f"The percent of all traffic targets must sum to 100, but is {total}.")
