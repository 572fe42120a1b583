"""What a release makes, as Dagster's catalogue shows it: one partition for each release, `ENVIRONMENT/RELEASE`.

What belongs here: the assets' names and words. They are materialized by the ops of jobs.py, which know when.
"""

import dagster as dg

from convergence_orchestration.releases.model import ReleaseId

RELEASES_GROUP = "releases"
SERVICE_IMAGE = "service_image"
SERVICE_REVISION = "service_revision"
RELEASES = "releases"

releases_partitions = dg.DynamicPartitionsDefinition(name=RELEASES)


def partition_of(environment: str, release_id: ReleaseId) -> str:
    """The partition of one release."""
    return f"{environment}/{release_id}"


def release_assets() -> list[dg.AssetSpec]:
    """What `definitions.py` merges."""
    return [
        dg.AssetSpec(
            SERVICE_IMAGE,
            group_name=RELEASES_GROUP,
            kinds={"docker", "googlecloud"},
            partitions_def=releases_partitions,
            description="The image that a release is made of, by its digest: built from sources by Cloud Build, or named by "
            "whoever released it. The job `deploy_service` makes it.",
        ),
        dg.AssetSpec(
            SERVICE_REVISION,
            deps=[dg.AssetDep(SERVICE_IMAGE)],
            group_name=RELEASES_GROUP,
            kinds={"googlecloud"},
            partitions_def=releases_partitions,
            description="The Cloud Run revision of a release, on a tag of its own, really ready, and without traffic until "
            "the rollout gives it some. The job `deploy_service` makes it.",
        ),
    ]
