"""Launching a job of releases in the platform's Dagster, and waiting for it; and the scene that other commands read.

What belongs here: what the commands about releases share. What a job does is Dagster's business: everything that changes a
service is a run, also from the command line.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from convergence_orchestration.cli.platforms import bigquery_of, settings_at
from convergence_orchestration.cli.reporting import tell

if TYPE_CHECKING:
    from pathlib import Path

    from convergence_orchestration.releases.specification import ServiceSpecification
    from convergence_orchestration.releases.traffic.scene import Scene
    from convergence_orchestration.settings import Settings

Environment = Annotated[
    str, typer.Option("--environment", help="development, staging or production; left out: ENVIRONMENT's.")
]
Reason = Annotated[str, typer.Option(help="Why, for whoever looks later.")]


def launch(data_dir: "Path", job: str, op: str, config: Mapping[str, object], *, google_cloud: bool) -> None:
    """Launch a job of one op and wait until it has ended; fields that are left out are the job's to choose.

    Raises:
        ConvergenceError: as `run_job`.
    """
    from convergence_orchestration.cli.dagster_runs import run_job  # noqa: PLC0415 not for --help

    given = {name: value for name, value in config.items() if value not in ("", None)}
    run_job(settings_at(data_dir, google_cloud=google_cloud), job, op, given)
    tell("Done.")


@contextmanager
def scene_at(data_dir: "Path", environment: str, *, google_cloud: bool) -> "Iterator[Scene]":
    """What a rollout of the environment reads, for looking only.

    Raises:
        ConvergenceError: no platform runs there; INVALID_ARGUMENT for an environment that there is not.
    """
    from convergence_orchestration.releases.traffic.opening import opened_scene  # noqa: PLC0415 not for --help

    settings, specification = service_at(data_dir, environment, google_cloud=google_cloud)
    with bigquery_of(settings) as bigquery, opened_scene(settings, specification, bigquery) as scene:
        yield scene


def service_at(
    data_dir: "Path", environment: str, *, google_cloud: bool
) -> "tuple[Settings, ServiceSpecification]":
    """The settings of an environment, and what it serves; "" is the platform's own environment.

    Raises:
        ConvergenceError: no platform runs there; INVALID_ARGUMENT for an environment that there is not.
    """
    from convergence_orchestration.releases.specification import specification_of  # noqa: PLC0415 not for --help

    settings = settings_at(data_dir, google_cloud=google_cloud, environment=environment)
    return settings, specification_of(settings.environment)
