"""The code location with targets that a busy machine keeps too: for tests of what is decided, not of how fast answers are."""

import dagster as dg

from convergence_orchestration.definitions import build_definitions
from convergence_orchestration.releases.resources import release_resources
from convergence_orchestration.releases.rollout_section import RolloutSection
from convergence_orchestration.releases.specification import specification_of
from convergence_orchestration.settings import Settings, load_settings

PATIENT = {
    "targets": {"error_percent": 1.0, "availability_percent": 99, "p95_ms": 3000, "p99_ms": 5000},
    "judge": {"bad_error_percent": 10, "minimum_requests": 40, "least_share": 0.5},
}


def patient_definitions(settings: Settings) -> dg.Definitions:
    """As in production but for the targets."""
    specification = specification_of(settings.environment)
    patient = specification.model_copy(update={"rollout": RolloutSection.model_validate(PATIENT)})
    releases = release_resources(settings)["releases"]
    own = {settings.environment.value: patient.model_dump_json()}
    return build_definitions(settings, {"releases": releases.model_copy(update={"specifications": own})})


@dg.definitions
def defs() -> dg.Definitions:
    """What the daemon, the code server and the run workers of a test load."""
    return patient_definitions(load_settings())
