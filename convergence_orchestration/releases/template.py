"""What Cloud Run is asked for: a revision from specification, settings and image, and the traffic beside it.

What belongs here: pure building of Google's messages, the revision's name, and reading a service back. No calls.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from google.cloud.run_v2 import (
    IngressTraffic,
    Revision,
    RevisionTemplate,
    Service,
    TrafficTarget,
    TrafficTargetAllocationType,
    VpcAccess,
)

from convergence_orchestration.gcp import run
from convergence_orchestration.releases import model
from convergence_orchestration.releases.model import Condition, Percent, ReleaseId, RevisionName, ServiceState
from convergence_orchestration.releases.specification import PrivateNetwork, ServiceSpecification
from convergence_orchestration.settings import Settings

FIELDS: Final = ("template", "traffic", "ingress", "invoker_iam_disabled")
"""What a deployment changes of a service; all else stays as others left it."""
RELEASE_ANNOTATION: Final = "convergence/release"

_PORT: Final = 8080
_LONGEST_NAME: Final = 63
_Allocation: Any = TrafficTargetAllocationType
_LATEST: Final = _Allocation.TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST
_REVISION: Final = _Allocation.TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION
_Ingress: Any = IngressTraffic
_INGRESS: Final = {
    "all": _Ingress.INGRESS_TRAFFIC_ALL,
    "internal": _Ingress.INGRESS_TRAFFIC_INTERNAL_ONLY,
    "internal-and-cloud-load-balancing": _Ingress.INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER,
}
_MADE_FROM: Final = (
    "scaling",
    "vpc_access",
    "timeout",
    "service_account",
    "containers",
    "execution_environment",
    "encryption_key",
    "max_instance_request_concurrency",
    "session_affinity",
)


def variables_of(specification: ServiceSpecification, settings: Settings) -> dict[str, str]:
    """The environment variables of an instance; those of the specification go before those that follow from settings."""
    following = {
        "ENVIRONMENT": settings.environment.value,
        "GCP_PROJECT_ID": settings.gcp_project_id,
        "BIGQUERY_LOCATION": settings.bigquery_location,
        "KMS_LOCATION": settings.kms_location,
        "KMS_KEYRING": settings.key_ring,
        "KMS_KEY": settings.kms_key,
    }
    if settings.kms_project_id:
        following["KMS_PROJECT_ID"] = settings.kms_project_id
    return {**following, **specification.variables}


def revision_template(
    specification: ServiceSpecification, settings: Settings, image: str, release_id: ReleaseId
) -> RevisionTemplate:
    """The template, with the name of the one revision that a release of this image can have."""
    plain = [{"name": name, "value": value} for name, value in variables_of(specification, settings).items()]
    secret = [
        {
            "name": name,
            "value_source": {"secret_key_ref": {"secret": one.secret, "version": str(one.version)}},
        }
        for name, one in specification.secrets.items()
    ]
    probe = specification.startup_probe
    template = RevisionTemplate(
        {
            "annotations": {RELEASE_ANNOTATION: release_id},
            "service_account": specification.service_account or settings.service_account_email,
            "timeout": {"seconds": specification.timeout_seconds},
            "max_instance_request_concurrency": specification.concurrency,
            "scaling": {
                "min_instance_count": specification.min_instances,
                "max_instance_count": specification.max_instances,
            },
            "containers": [
                {
                    "image": image,
                    "env": sorted([*plain, *secret], key=lambda variable: str(variable["name"])),
                    "ports": [{"name": "http1", "container_port": _PORT}],
                    "resources": {"limits": {"cpu": str(specification.cpu), "memory": specification.memory}},
                    "startup_probe": {
                        "period_seconds": probe.period_seconds,
                        "timeout_seconds": probe.timeout_seconds,
                        "failure_threshold": probe.failure_threshold,
                        "http_get": {"path": probe.path, "port": _PORT},
                    },
                }
            ],
        }
    )
    if specification.private_network is not None:
        template.vpc_access = _vpc_access(specification.private_network)
    template.revision = revision_name(specification.service, release_id, fingerprint(template))
    return template


def _vpc_access(private: PrivateNetwork) -> VpcAccess:
    """An address of the subnetwork for each instance; what is not private goes out as ever."""
    interface = VpcAccess.NetworkInterface(network=private.network, subnetwork=private.subnetwork)
    return VpcAccess(network_interfaces=[interface], egress=VpcAccess.VpcEgress.PRIVATE_RANGES_ONLY)


def revision_name(service: str, release_id: ReleaseId, made_from: str) -> RevisionName:
    """`convergence-api-prod-v1-0-0-1a2b3c4d`: the same for the same release of the same thing, so it is made once."""
    digest = hashlib.sha256(f"{release_id}/{made_from}".encode()).hexdigest()[:8]
    words = re.sub(r"[^a-z0-9]+", "-", release_id.lower()).strip("-")
    room = _LONGEST_NAME - len(service) - len(digest) - 2
    shown = words[: max(room, 0)].strip("-")
    return RevisionName("-".join(filter(None, (service, shown, digest))))


def fingerprint(source: RevisionTemplate | Revision) -> str:
    """Of everything that decides how a revision behaves; its name, labels and annotations do not."""
    whole = type(source).to_dict(source, use_integers_for_enums=True)
    decisive = {name: whole.get(name) for name in _MADE_FROM}
    return hashlib.sha256(json.dumps(decisive, sort_keys=True, default=str).encode()).hexdigest()[:16]


def changed_service(
    specification: ServiceSpecification,
    template: RevisionTemplate,
    traffic: Iterable[TrafficTarget],
    etag: str,
) -> Service:
    """The service with what a deployment changes (`FIELDS`)."""
    return Service(
        template=template,
        traffic=list(traffic),
        ingress=_INGRESS[specification.ingress],
        invoker_iam_disabled=specification.allow_unauthenticated,
        etag=etag,
    )


def traffic_targets(targets: Iterable[model.TrafficTarget]) -> list[TrafficTarget]:
    """Our targets as Google's: each names its revision."""
    return [
        TrafficTarget(type_=_REVISION, revision=target.revision, percent=target.percent, tag=target.tag)
        for target in targets
    ]


def state_of(service: Service, revisions: Iterable[Revision]) -> ServiceState:
    """The service as rollout and judge know it."""
    standing_for = {
        status.tag: _short(status.revision) for status in service.traffic_statuses if status.type_ == _LATEST
    }
    newest = _short(service.latest_ready_revision or service.latest_created_revision)
    asked = tuple(
        _target(one, standing_for.get(one.tag) or newest if one.type_ == _LATEST else one.revision)
        for one in service.traffic
    )
    return ServiceState(
        name=_short(service.name),
        generation=service.generation,
        observed_generation=service.observed_generation,
        reconciling=service.reconciling,
        condition=_condition(service.terminal_condition),
        asked=asked,
        serving=tuple(_target(one, _short(one.revision)) for one in service.traffic_statuses),
        revisions=tuple(map(revision_of, revisions)),
        etag=service.etag,
        why=service.terminal_condition.message,
        latest_created=RevisionName(_short(service.latest_created_revision)) or None,
        latest_ready=RevisionName(_short(service.latest_ready_revision)) or None,
    )


def revision_of(revision: Revision) -> model.Revision:
    """A revision as rollout and judge know it."""
    ready = run.condition_of(revision)
    created = revision.create_time
    condition = _condition(ready)
    return model.Revision(
        name=RevisionName(_short(revision.name)),
        ready=Condition.PENDING if revision.reconciling else condition,
        created_at=created,
        why="" if ready is None or condition is Condition.SUCCEEDED else ready.message,
        image=revision.containers[0].image if revision.containers else "",
        template=fingerprint(revision),
    )


_CONDITIONS: Final[Mapping[str, Condition]] = {
    "CONDITION_SUCCEEDED": Condition.SUCCEEDED,
    "CONDITION_FAILED": Condition.FAILED,
}


def _condition(found: Any) -> Condition:  # noqa: ANN401 Google's condition, or None
    return Condition.PENDING if found is None else _CONDITIONS.get(found.state.name, Condition.PENDING)


def _target(one: Any, revision: str) -> model.TrafficTarget:  # noqa: ANN401 a target or a target's status
    return model.TrafficTarget(RevisionName(revision), Percent(one.percent), one.tag, getattr(one, "uri", ""))


def _short(name: str) -> str:
    return name.rpartition("/")[2]
