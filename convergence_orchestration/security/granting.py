"""The commands that make an environment's roles as declared: what a person types once, from the same files as the review.

What belongs here: pure functions. Nothing is asked of Google, so what is granted already is named, too; granting it again
changes nothing.
"""

from collections.abc import Iterator

from convergence_orchestration.environment.model import declared_by
from convergence_orchestration.releases.specification import specification_of
from convergence_orchestration.security.baseline import baseline_of, filled
from convergence_orchestration.security.comparing import command
from convergence_orchestration.security.google_cloud import enforced, google_cloud, names_of
from convergence_orchestration.security.model import Looked, Place
from convergence_orchestration.settings import Settings


def commands(settings: Settings) -> Iterator[str]:
    """A line for each role that somebody shall have; access to the central dataset is BigQuery's own and has none."""
    baseline = baseline_of(settings.environment)
    for place, resource in _resources(settings).items():
        looked = Looked(place, resource, None)
        for grant in sorted(baseline.declared(place, settings) | enforced(place, settings)):
            yield command(looked, grant, "add")
    if settings.dagster_service_account is None:
        return
    names = names_of(settings)
    for further in google_cloud().further:
        line = filled(further.command, names)
        yield f'{line} --member="{filled(further.member, names)}" --role="{further.role}"'


def _resources(settings: Settings) -> dict[Place, str]:
    declared, project = declared_by(settings), f"projects/{settings.gcp_project_id}"
    service = specification_of(settings.environment).service
    return {
        Place.PROJECT: project,
        Place.KEY: declared.crypto_key_name,
        Place.SECRET: f"{project}/secrets/{declared.secret_id}",
        Place.SERVICE: f"{project}/locations/{settings.run_region}/services/{service}",
    }
