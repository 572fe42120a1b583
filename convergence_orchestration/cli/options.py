"""The options that many commands take.

What belongs here: their names, defaults and help. Every command takes `--data-dir`.
"""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from convergence_orchestration.local_platform.directory import DataDirectory

DEFAULT_DATA_DIR = Path(".convergence")


class EnvironmentName(StrEnum):
    """The environments, without the settings that `--help` need not wait for."""

    DEVELOPMENT = "development"
    STAGING = "staging"
    PRODUCTION = "production"


DataDir = Annotated[
    Path,
    typer.Option(
        "--data-dir",
        envvar="CONVERGENCE_DATA_DIR",
        help="Where the platform keeps everything; two directories are two platforms.",
        show_default=str(DEFAULT_DATA_DIR),
    ),
]
DataDirOfEnvironment = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        envvar="CONVERGENCE_DATA_DIR",
        help="Where the platform keeps everything; two directories are two platforms.",
        show_default=f"{DEFAULT_DATA_DIR}, {DEFAULT_DATA_DIR}-staging or {DEFAULT_DATA_DIR}-production",
    ),
]
OfEnvironment = Annotated[
    EnvironmentName | None,
    typer.Option("--environment", help="Whose platform is meant.", show_default="development"),
]
BasePort = Annotated[
    int | None,
    typer.Option(
        "--base-port",
        min=1,
        help="Port of the API; the eight behind it are for Dagster (2), BigQuery and local Google Cloud (5).",
        show_default="as last time, else API_PORT",
    ),
]
ApiUrl = Annotated[
    str | None,
    typer.Option(
        "--api-url",
        envvar="API_URL",
        help="Another API than the local platform's; ADMIN_API_KEY must then be set.",
        show_default=False,
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")]


def data_dir_of(data_dir: Path | None, environment: str | None) -> Path:
    """The data directory that was given, else the one of the environment."""
    from convergence_orchestration.local_platform.directory import DataDirectory  # noqa: PLC0415 not for --help
    from convergence_orchestration.settings import Environment  # noqa: PLC0415

    return data_dir or Path(DataDirectory.name_for(Environment(environment or Environment.DEVELOPMENT)))


def directory_at(data_dir: Path) -> "DataDirectory":
    """The data directory of a command."""
    from convergence_orchestration.local_platform.directory import DataDirectory  # noqa: PLC0415 not for --help

    return DataDirectory.at(data_dir)


def flag_for(data_dir: Path) -> str:
    """What to add to a command line that is shown to the person, so that it meets the same platform."""
    import shlex  # noqa: PLC0415

    is_default = data_dir == DEFAULT_DATA_DIR
    return "" if is_default else f" --data-dir {shlex.quote(str(data_dir))}"
