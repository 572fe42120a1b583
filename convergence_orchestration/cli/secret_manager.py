"""`convergence admin-key` and `gcloud-env`: the administrators' key, and gcloud turned to the local platform.

What belongs here: printing and storing through Secret Manager. A key is never taken from the command line, where anyone on
the machine could read it.
"""

import shlex
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from convergence_orchestration.cli.audited import audited
from convergence_orchestration.cli.options import (
    DEFAULT_DATA_DIR,
    DataDir,
    DataDirOfEnvironment,
    OfEnvironment,
    data_dir_of,
    directory_at,
)
from convergence_orchestration.cli.reporting import tell

if TYPE_CHECKING:
    from pydantic import SecretStr

    from convergence_orchestration.settings import Settings


def admin_key(
    context: typer.Context,
    *,
    environment: OfEnvironment = None,
    data_dir: DataDirOfEnvironment = None,
    store: Annotated[
        bool, typer.Option("--set", help="Read a new key from standard input and store it.")
    ] = False,
    google_cloud: Annotated[
        bool,
        typer.Option(
            "--google-cloud", help="Ask Secret Manager of GCP_PROJECT_ID, not the local platform's."
        ),
    ] = False,
) -> None:
    """Print the administrators' key alone, or with --set store another one; the commands are for the rest of its life."""
    if context.invoked_subcommand is not None:
        _refuse_misplaced(context)
        return
    from convergence_orchestration.cli import access  # noqa: PLC0415 not for --help
    from convergence_orchestration.cli.platforms import settings_at  # noqa: PLC0415

    path = data_dir_of(data_dir, environment)
    settings = settings_at(path, google_cloud=google_cloud, environment=environment or "")
    if store:
        if not google_cloud:
            access.writable_settings(directory_at(path))
        version = stored_as(settings, _new_key())
        tell(f"Stored as {version}; a running API takes it within seconds.")
        return
    is_its_own = not google_cloud and settings == settings_at(path, google_cloud=False)
    key = access.administrators_key(directory_at(path)) if is_its_own else _stored(settings)
    typer.echo(key.get_secret_value())


def _refuse_misplaced(context: typer.Context) -> None:
    """An option before the command would be passed over, and the command meet another platform than was meant."""
    typed = [
        name
        for name in context.params
        if (source := context.get_parameter_source(name)) and source.name == "COMMANDLINE"
    ]
    if typed:
        raise typer.BadParameter(
            "Put the options behind the command: `convergence admin-key COMMAND --option`."
        )


def gcloud_env(data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """Print what turns `gcloud kms` and `gcloud secrets` to the local platform: eval "$(convergence gcloud-env)"."""
    from convergence_orchestration.local_gcp.gcloud import gcloud_environment  # noqa: PLC0415
    from convergence_orchestration.local_platform.ports import Ports  # noqa: PLC0415
    from convergence_orchestration.local_platform.running import running_platform  # noqa: PLC0415

    directory = directory_at(data_dir)
    platform = running_platform(directory)
    variables = gcloud_environment(
        Ports(platform.base_port).local_gcp_rest, platform.variables["gcp_project_id"], directory.path
    )
    for name, value in variables.items():
        typer.echo(f"export {name}={shlex.quote(value)}")


def stored_as(settings: "Settings", key: "SecretStr") -> str:
    """Store `key` as the environment's administrators' key, between two rows of the audit log; the version's name.

    While there is no log it leaves none: the guide stores the key before anything is deployed. Errors are those of `audited`
    and of `keys.admin.store`.
    """
    from convergence_orchestration.cli.access import secrets_of  # noqa: PLC0415
    from convergence_orchestration.keys import admin  # noqa: PLC0415 with Google's libraries

    with audited(settings, "admin_key.set", "secret", settings.admin_secret_id, needs_log=False) as details:
        version = admin.store(settings, secrets_of(settings), key)
        details["version"] = version
    return version


def _stored(settings: "Settings") -> "SecretStr":
    from convergence_orchestration.cli.access import secrets_of  # noqa: PLC0415
    from convergence_orchestration.keys import admin  # noqa: PLC0415

    in_secret_manager = settings.model_copy(update={"admin_api_key": None})
    return admin.read(in_secret_manager, secrets_of(settings)).key


def _new_key() -> "SecretStr":
    from pydantic import SecretStr  # noqa: PLC0415

    if sys.stdin.isatty():
        return SecretStr(typer.prompt("New administrators' key", hide_input=True, confirmation_prompt=True))
    return SecretStr(sys.stdin.readline().rstrip("\r\n"))
