"""Revisions as a service's template makes them.

What belongs here: when a change needs a revision, its name, what is copied into it, and the oldest that make room for it.
"""

import uuid
from datetime import datetime
from pathlib import Path

from google.cloud.run_v2 import Revision, RevisionTemplate, Service

from convergence_orchestration.local_gcp import images, messages
from convergence_orchestration.local_gcp.cloud_run import conditions, names
from convergence_orchestration.local_gcp.cloud_run.conditions import Reason
from convergence_orchestration.local_gcp.cloud_run.routing import named_revisions
from convergence_orchestration.local_gcp.refusals import already_exists, refuse
from convergence_orchestration.local_gcp.store import Rows

_MAX_REVISIONS = 1000
_COPIED = (
    "labels",
    "annotations",
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


def new_etag() -> str:
    """An etag as Google writes them: with quotation marks."""
    return f'"{uuid.uuid4().hex[:14]}"'


def needs_revision(before: RevisionTemplate, after: RevisionTemplate) -> bool:
    """The template has changed; the name alone counts too."""
    return bool(messages.raw(before) != messages.raw(after))


def make_revision(rows: Rows, data_dir: Path, service: Service, now: datetime) -> Revision:
    """The revision of the service's template, written down; one whose image is unknown has failed already.

    Raises:
        Refusal: ALREADY_EXISTS, the template names one that exists; RESOURCE_EXHAUSTED, 1000 of them all serve.
    """
    asked = service.template.revision
    short = asked or names.generated_revision(service.name, service.generation)
    name = names.revision_name(service.name, short)
    if rows.get(Revision, name):
        already_exists(f"Revision named '{short}' with different configuration")
    _make_room(rows, service)
    revision = _copied(service, name, now)
    image = revision.containers[0].image
    digest = images.digest_of(rows, data_dir, image)
    if digest is None:
        failed = conditions.failed(conditions.READY, f"Image '{image}' not found.", Reason.CONTAINER_MISSING)
        conditions.put(revision, failed, now)
        conditions.put(revision, conditions.retyped(failed, conditions.CONTAINER_READY), now)
        revision.reconciling = False
    else:
        revision.containers[0].image = images.with_digest(image, digest)
    rows.insert(name, service.name, revision)
    return revision


def _copied(service: Service, name: str, now: datetime) -> Revision:
    template = service.template
    revision = Revision({field: getattr(template, field) for field in _COPIED if field in template})
    revision.name, revision.uid, revision.etag = name, str(uuid.uuid4()), new_etag()
    revision.service = names.short(service.name)
    revision.generation = service.generation
    revision.create_time = revision.update_time = now
    revision.launch_stage = service.launch_stage
    revision.reconciling = True
    conditions.put(revision, conditions.waiting(conditions.READY, "Deploying revision."), now)
    return revision


def _make_room(rows: Rows, service: Service) -> None:
    """Forget the oldest revision without traffic or tag where there are 1,000, as the real service does."""
    if rows.count(Revision, service.name) < _MAX_REVISIONS:
        return
    kept = named_revisions(service)
    for _, revision in rows.oldest_first(Revision, service.name, 0, _MAX_REVISIONS):
        is_latest = revision.name in {service.latest_created_revision, service.latest_ready_revision}
        if names.short(revision.name) not in kept and not is_latest:
            rows.delete(Revision, revision.name)
            return
    refuse(
        "RESOURCE_EXHAUSTED",
        f"A service can have {_MAX_REVISIONS} revisions; all of them have traffic or a tag.",
    )
