"""`convergence admin-key list|add|rotate|remove|reveal`: the administrators of an environment and their keys.

What belongs here: commands. They go to Secret Manager with the rights of whoever types them; a change stands between two rows
of the audit log, and its key is printed behind the second. A key goes to standard output alone, so that it can be piped; all
else goes to standard error. `convergence admin-key` itself is `secret_manager.py`.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from convergence_orchestration.cli.audited import audited
from convergence_orchestration.cli.options import (
    DataDirOfEnvironment,
    OfEnvironment,
    data_dir_of,
    directory_at,
)
from convergence_orchestration.cli.reporting import tell
from convergence_orchestration.cli.showing import print_table

if TYPE_CHECKING:
    from convergence_orchestration.environment.cloud import Cloud

GoogleCloud = Annotated[
    bool,
    typer.Option("--google-cloud", help="Ask Google Cloud of GCP_PROJECT_ID, not the local platform's."),
]
_NewName = Annotated[
    str, typer.Argument(help="2 to 31 small letters, digits and -, beginning with a letter.")
]
_Name = Annotated[str, typer.Argument(help="A named administrator; left out: the environment's own key.")]
_UNNAMED = "administrator"


def list_administrators(
    *,
    environment: OfEnvironment = None,
    data_dir: DataDirOfEnvironment = None,
    google_cloud: GoogleCloud = False,
) -> None:
    """List who has a key, how old it is and when it is due."""
    from datetime import UTC, datetime  # noqa: PLC0415 not for --help

    from convergence_orchestration.environment.shown import kept_facts  # noqa: PLC0415
    from convergence_orchestration.keys.admins.upkeep import administrators, stand  # noqa: PLC0415

    with _Where(data_dir, environment, google_cloud).opened() as cloud:
        known = [
            kept_facts(stand(cloud.settings, cloud.secrets, name, datetime.now(UTC)))
            for name in administrators(cloud.settings, cloud.secrets)
        ]
    columns = ("administrator", "state", "version", "created", "due", "trouble")
    print_table(columns, [tuple(facts[column] for column in columns) for facts in known])


def add(
    name: _NewName,
    *,
    environment: OfEnvironment = None,
    data_dir: DataDirOfEnvironment = None,
    google_cloud: GoogleCloud = False,
) -> None:
    """Add a named administrator: the key alone on standard output, once."""
    from convergence_orchestration.environment.preparing import bind_secret  # noqa: PLC0415 not for --help
    from convergence_orchestration.keys.admins import roll  # noqa: PLC0415
    from convergence_orchestration.keys.admins.model import secret_id_of  # noqa: PLC0415

    with _changing("admin_key.add", name, _Where(data_dir, environment, google_cloud)) as (cloud, details):
        added = roll.add(cloud.settings, cloud.secrets, name)
        details["version"] = added.version
        bind_secret(cloud, secret_id_of(cloud.settings.environment, name))
    tell(f"Stored as {added.version}; a running API takes it within seconds.")
    typer.echo(added.key.get_secret_value())


def rotate(
    name: _Name = _UNNAMED,
    *,
    overlap_hours: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=720,
            help="So long the key before counts; 0 refuses it at once. [ADMIN_KEY_OVERLAP_HOURS]",
        ),
    ] = None,
    environment: OfEnvironment = None,
    data_dir: DataDirOfEnvironment = None,
    google_cloud: GoogleCloud = False,
) -> None:
    """Give an administrator a new key: the key alone on standard output."""
    import uuid  # noqa: PLC0415 not for --help
    from datetime import UTC, datetime, timedelta  # noqa: PLC0415

    from convergence_orchestration.keys import admin  # noqa: PLC0415
    from convergence_orchestration.keys.admins.rotating import Rotating  # noqa: PLC0415
    from convergence_orchestration.keys.admins.rotating import rotate as rotated  # noqa: PLC0415

    with _changing("admin_key.rotate", name, _Where(data_dir, environment, google_cloud)) as (cloud, details):
        hours = cloud.settings.admin_key_overlap_hours if overlap_hours is None else overlap_hours
        wanted = Rotating(f"command-{uuid.uuid4().hex}", name, timedelta(hours=hours))
        done = rotated(cloud.settings, cloud.secrets, wanted, datetime.now(UTC))
        details |= {"version": done.number, "overlap_ends": done.overlap_ends.isoformat()}
        key = admin.read(cloud.settings, cloud.secrets, name).key
    tell(f"Version {done.number}; the key before counts until {done.overlap_ends:%Y-%m-%d %H:%M} UTC.")
    typer.echo(key.get_secret_value())


def remove(
    name: _NewName,
    *,
    environment: OfEnvironment = None,
    data_dir: DataDirOfEnvironment = None,
    google_cloud: GoogleCloud = False,
) -> None:
    """Remove a named administrator: the key is refused within seconds, for good."""
    from convergence_orchestration.keys.admins import roll  # noqa: PLC0415 not for --help

    with _changing("admin_key.remove", name, _Where(data_dir, environment, google_cloud)) as (cloud, _):
        roll.remove(cloud.settings, cloud.secrets, name)
    tell(f"Removed {name}; a running API refuses the key within seconds.")


def reveal(
    name: _Name = _UNNAMED,
    *,
    environment: OfEnvironment = None,
    data_dir: DataDirOfEnvironment = None,
    google_cloud: GoogleCloud = False,
) -> None:
    """Print an administrator's newest key alone."""
    from convergence_orchestration.keys import admin  # noqa: PLC0415 not for --help

    with _Where(data_dir, environment, google_cloud).opened() as cloud:
        key = admin.read(cloud.settings, cloud.secrets, name).key
    typer.echo(key.get_secret_value())


@dataclass(frozen=True)
class _Where:
    """What a command's options say about the platform that it is about."""

    data_dir: Path | None
    environment: str | None
    google_cloud: bool

    @property
    def path(self) -> Path:
        return data_dir_of(self.data_dir, self.environment)

    def opened(self) -> "AbstractContextManager[Cloud]":
        return cloud_at(self.path, google_cloud=self.google_cloud, environment=self.environment)


@contextmanager
def cloud_at(data_dir: Path, *, google_cloud: bool, environment: str | None = None) -> "Iterator[Cloud]":
    """The services of an environment: the local platform's, or Google's of GCP_PROJECT_ID."""
    from convergence_orchestration.environment.cloud import opened  # noqa: PLC0415 not for --help
    from convergence_orchestration.local_platform.environment import platform_settings  # noqa: PLC0415
    from convergence_orchestration.local_platform.running import running_platform  # noqa: PLC0415
    from convergence_orchestration.settings import Environment, load_settings  # noqa: PLC0415

    if google_cloud:
        settings = load_settings(admin_api_key=None)
    else:
        settings = platform_settings(running_platform(directory_at(data_dir)))
    with opened(settings.of(Environment(environment)) if environment else settings) as cloud:
        yield cloud


@contextmanager
def _changing(action: str, name: str, where: _Where) -> "Iterator[tuple[Cloud, dict[str, object]]]":
    """The same for a change of an administrator's key, between its rows; the dictionary takes details of the second one.

    Refused if the local platform's API reads no key there, so that a change would change nothing.
    """
    from convergence_orchestration.cli.access import writable_settings  # noqa: PLC0415 not for --help
    from convergence_orchestration.keys.admins.model import secret_id_of  # noqa: PLC0415

    if not where.google_cloud:
        writable_settings(directory_at(where.path))
    with where.opened() as cloud:
        secret_id = secret_id_of(cloud.settings.environment, name)  # a name, or it is refused: never a key
        with audited(cloud.settings, action, "secret", secret_id) as details:
            yield cloud, details
