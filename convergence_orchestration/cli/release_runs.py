"""Launching a job of releases in the platform's Dagster, and waiting for it; and the scene that other commands read.

What belongs here: what the commands about releases share. What a job does is Dagster's business: everything that changes a
service is a run, also from the command line.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from convergence_orchestration.cli.options import directory_at
from convergence_orchestration.cli.reporting import tell

if TYPE_CHECKING:
    from pathlib import Path

    from convergence_orchestration.releases.traffic.scene import Scene
    from convergence_orchestration.settings import Settings

Environment = Annotated[
    str, typer.Option("--environment", help="development, staging or production; left out: ENVIRONMENT's.")
]
Reason = Annotated[str, typer.Option(help="Why, for whoever looks later.")]


def settings_at(data_dir: "Path") -> "Settings":
    """The settings that meet the running platform.

    Raises:
        ConvergenceError: none runs there.
    """
    from convergence_orchestration.local_platform.environment import (  # noqa: PLC0415 not for --help
        platform_settings,
    )
    from convergence_orchestration.local_platform.running import running_platform  # noqa: PLC0415

    return platform_settings(running_platform(directory_at(data_dir)))


def launch(data_dir: "Path", job: str, op: str, config: Mapping[str, object]) -> None:
    """Launch a job of one op and wait until it has ended; fields that are left out are the job's to choose.

    Raises:
        ConvergenceError: as `run_job`.
    """
    from convergence_orchestration.cli.dagster_runs import run_job  # noqa: PLC0415 not for --help

    given = {name: value for name, value in config.items() if value not in ("", None)}
    run_job(settings_at(data_dir), job, op, given)
    tell("Done.")


@contextmanager
def scene_at(data_dir: "Path", environment: str) -> "Iterator[Scene]":
    """What a rollout of the environment reads, for looking only.

    Raises:
        ConvergenceError: no platform runs there; INVALID_ARGUMENT for an environment that there is not.
    """
    from convergence_orchestration.errors import ErrorCode, PermanentError  # noqa: PLC0415 not for --help
    from convergence_orchestration.gcp.bigquery import BigQuery  # noqa: PLC0415
    from convergence_orchestration.gcp.clients import bigquery_client  # noqa: PLC0415
    from convergence_orchestration.releases.specification import specification_of  # noqa: PLC0415
    from convergence_orchestration.releases.traffic.opening import opened_scene  # noqa: PLC0415
    from convergence_orchestration.settings import Environment as Environments  # noqa: PLC0415

    settings = settings_at(data_dir)
    name = environment or settings.environment.value
    if name not in Environments:
        raise PermanentError(
            ErrorCode.INVALID_ARGUMENT, f"Name an environment, one of {', '.join(Environments)}."
        )
    settings = settings.of(Environments(name))
    client = bigquery_client(settings)
    try:
        with opened_scene(settings, specification_of(settings.environment), BigQuery(client)) as scene:
            yield scene
    finally:
        client.close()  # type: ignore[no-untyped-call]
