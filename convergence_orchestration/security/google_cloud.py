"""What Google Cloud needs beside an environment's baseline, where Dagster's runs have an account of their own.

What belongs here: the file's form, and who shall have which role because of it. Commands are `granting.py`'s.
"""

from functools import cache
from pathlib import Path

import yaml
from pydantic import Field

from convergence_orchestration.security.baseline import Granted, Part, filled
from convergence_orchestration.security.model import Grant, Place
from convergence_orchestration.settings import Settings

_FILE = Path(__file__).with_name("baselines") / "google_cloud.yaml"


class Further(Part):
    """A role on a resource whose policy the review does not read."""

    command: str = Field(pattern="^gcloud ", description="What grants it, but for member and role.")
    role: str = Field(min_length=1)
    member: str = Field(min_length=1)


class GoogleCloud(Part):
    """The file."""

    grants: dict[Place, tuple[Granted, ...]]
    further: tuple[Further, ...]


@cache
def google_cloud() -> GoogleCloud:
    """The file, which is this package's own."""
    return GoogleCloud.model_validate(yaml.safe_load(_FILE.read_text("utf-8")))


def enforced(place: Place, settings: Settings) -> frozenset[Grant]:
    """Who shall have which role on this resource besides; nobody where Dagster has no account of its own."""
    if settings.dagster_service_account is None:
        return frozenset()
    names = names_of(settings)
    return frozenset(
        Grant(place, granted.role, filled(member, names), filled(granted.condition, names))
        for granted in google_cloud().grants.get(place, ())
        for member in granted.members
    )


def names_of(settings: Settings) -> dict[str, str]:
    """What the file's names in braces stand for."""
    return {
        "{service_account}": settings.service_account_email,
        "{dagster}": settings.dagster_service_account or "DAGSTER_SERVICE_ACCOUNT",
        "{project}": settings.gcp_project_id,
        "{bucket}": settings.op_outputs_bucket or "OP_OUTPUTS_BUCKET",
        "{environment}": settings.environment.short,
    }
