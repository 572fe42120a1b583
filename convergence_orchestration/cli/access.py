"""Which API a command talks to, and with which administrators' key.

What belongs here: the choice between the local platform and another API, and reading the key where it is. A key read from
the local platform is never sent anywhere else.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.local_platform.directory import DataDirectory
from convergence_orchestration.local_platform.environment import platform_settings
from convergence_orchestration.local_platform.model import AdminKeySource
from convergence_orchestration.local_platform.running import running_platform
from convergence_orchestration.local_platform.services import Addresses
from convergence_orchestration.settings import Settings, load_settings

if TYPE_CHECKING:
    from pydantic import SecretStr

    from convergence_orchestration.gcp.secrets import Secrets


@dataclass(frozen=True)
class Access:
    """An API and the key that opens it.

    Attributes:
        authority_file: who signed its certificate; None: those that this machine trusts.
    """

    url: str
    admin_key: "SecretStr"
    authority_file: str | None = None


def access_to(directory: DataDirectory, api_url: str | None) -> Access:
    """Access to `api_url` with ADMIN_API_KEY, or without one to the platform of `directory`.

    Raises:
        NothingRuns: no platform is there.
        PermanentError: the key that is wanted is not there, or ADMIN_API_KEY or another setting is wrong.
    """
    if api_url is not None:
        settings = load_settings()
        if settings.admin_api_key is None:
            raise PermanentError(
                ErrorCode.INVALID_SETTINGS, f"Set ADMIN_API_KEY to the administrators' key of {api_url}."
            )
        return Access(api_url.rstrip("/"), settings.admin_api_key, settings.run_authority_file)
    addresses = Addresses.of(running_platform(directory))
    return Access(addresses.api, administrators_key(directory), addresses.authority_file)


def administrators_key(directory: DataDirectory) -> "SecretStr":
    """The key that the API of the platform in `directory` accepts.

    Raises:
        NothingRuns: no platform is there.
        PermanentError: it was started with an ADMIN_API_KEY that this command does not have.
    """
    platform = running_platform(directory)
    if platform.admin_key_source is AdminKeySource.SECRET_MANAGER:
        from convergence_orchestration.keys import admin  # noqa: PLC0415 with Google's libraries

        settings = platform_settings(platform)
        return admin.read(settings, secrets_of(settings)).key
    key = load_settings().admin_api_key
    if key is None:
        raise PermanentError(
            ErrorCode.INVALID_SETTINGS,
            "Set ADMIN_API_KEY as it was when the platform was started: it was started with one, which is kept nowhere.",
        )
    return key


def writable_settings(directory: DataDirectory) -> Settings:
    """Settings that meet the Secret Manager of the platform in `directory`, if its API reads its key there.

    Raises:
        NothingRuns: no platform is there.
        PermanentError: the API takes its key from ADMIN_API_KEY, so that storing another one would change nothing.
    """
    platform = running_platform(directory)
    if platform.admin_key_source is AdminKeySource.ENVIRONMENT:
        raise PermanentError(
            ErrorCode.FAILED_PRECONDITION,
            "Start the platform without ADMIN_API_KEY first: as long as that is set, the API reads no other key.",
        )
    return platform_settings(platform)


def secrets_of(settings: Settings) -> "Secrets":
    """Secret Manager as the settings have it."""
    from convergence_orchestration.gcp.clients import secret_manager_client  # noqa: PLC0415 slow to import
    from convergence_orchestration.gcp.secrets import Secrets  # noqa: PLC0415

    return Secrets(secret_manager_client(settings), settings.gcp_project_id)
