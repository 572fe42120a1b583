"""Which platform a command is about: the one that runs on this machine, or the one in Google Cloud.

What belongs here: the option, and the settings and clients that meet the platform.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from convergence_orchestration.cli.options import directory_at

if TYPE_CHECKING:
    from pathlib import Path

    from convergence_orchestration.gcp.bigquery import BigQuery
    from convergence_orchestration.settings import Settings

GoogleCloud = Annotated[
    bool,
    typer.Option(
        "--google-cloud", help="In GCP_PROJECT_ID, with Dagster at DAGSTER_URL; not the local platform."
    ),
]


def settings_at(data_dir: "Path", *, google_cloud: bool, environment: str = "") -> "Settings":
    """The settings that meet the platform; "" is its own environment.

    Raises:
        ConvergenceError: none runs in the data directory; INVALID_SETTINGS; INVALID_ARGUMENT for an environment that
            there is not.
    """
    from convergence_orchestration.errors import ErrorCode, PermanentError  # noqa: PLC0415 not for --help
    from convergence_orchestration.local_platform.environment import platform_settings  # noqa: PLC0415
    from convergence_orchestration.local_platform.running import running_platform  # noqa: PLC0415
    from convergence_orchestration.settings import Environment, load_settings  # noqa: PLC0415

    if google_cloud:
        settings = load_settings()
    else:
        settings = platform_settings(running_platform(directory_at(data_dir)))
    if not environment:
        return settings
    if environment not in Environment:
        raise PermanentError(
            ErrorCode.INVALID_ARGUMENT, f"Name an environment, one of {', '.join(Environment)}."
        )
    return settings.of(Environment(environment))


@contextmanager
def bigquery_of(settings: "Settings") -> "Iterator[BigQuery]":
    """The platform's BigQuery, closed at the end."""
    from convergence_orchestration.gcp.bigquery import BigQuery  # noqa: PLC0415 not for --help
    from convergence_orchestration.gcp.clients import bigquery_client  # noqa: PLC0415

    client = bigquery_client(settings)
    try:
        yield BigQuery(client)
    finally:
        client.close()  # type: ignore[no-untyped-call]
