"""The environment that the platform's processes get: the settings, once more as variables, and where the emulators are.

What belongs here: which process is told what. Children work in the data directory, where no `.env` is, so what was read from
`.env` is handed to them; the administrators' key goes to the API alone, and to the node, which runs the API's instances.
"""

import os
from collections.abc import Mapping
from pathlib import Path

from pydantic import SecretStr

from convergence_orchestration.local_platform.directory import DataDirectory
from convergence_orchestration.local_platform.model import PlatformRecord
from convergence_orchestration.local_platform.ports import LOOPBACK, Ports, front_door_source
from convergence_orchestration.local_platform.processes import PLATFORM_ID_VARIABLE
from convergence_orchestration.settings import Environment, Settings, load_settings

ADMIN_KEY_VARIABLE = "ADMIN_API_KEY"

# what a command in another directory or terminal must know to meet the same project and keys
_REMEMBERED = (
    "gcp_project_id",
    "bigquery_location",
    "kms_project_id",
    "kms_location",
    "kms_keyring",
    "kms_key",
    "service_account",
    "environment",
)


def listening_host(settings: Settings) -> str:
    """Where the API listens: on loopback, unless someone set API_HOST. Its default is made for containers."""
    return settings.api_host if "api_host" in settings.model_fields_set else LOOPBACK


def environment_of(record: PlatformRecord) -> Environment:
    """Which environment the platform is."""
    return Environment(record.variables.get("environment", Environment.DEVELOPMENT))


def is_https_only(environment: Environment) -> bool:
    """Whether the API is reached with TLS alone; developers may call it in clear."""
    return environment is not Environment.DEVELOPMENT


def remembered(settings: Settings, directory: DataDirectory) -> dict[str, str]:
    """The settings for the platform's record: those that name things, none of them secret."""
    named = {name: getattr(settings, name) for name in _REMEMBERED}
    values = {**named, "run_authority_file": directory.authority_file}
    return {name: _as_text(value) for name, value in values.items() if value is not None}


def platform_settings(record: PlatformRecord) -> Settings:
    """Settings that meet the platform of `record` from any directory, and with no administrators' key.

    Raises:
        PermanentError: INVALID_SETTINGS about variables of the caller's own environment.
    """
    ports = Ports(record.base_port)
    return load_settings(**{**record.variables, **_addresses(ports, record.api_host), "admin_api_key": None})


def platform_environment(
    settings: Settings, ports: Ports, directory: DataDirectory, platform_id: str
) -> dict[str, str]:
    """The environment of the supervisor, from which each child's is taken."""
    given = {name: getattr(settings, name) for name in settings.model_fields_set}
    ours = {
        **{name: _as_text(value) for name, value in given.items() if value is not None},
        **_addresses(ports, listening_host(settings)),
        "run_authority_file": str(directory.authority_file),
    }
    if settings.google_application_credentials:
        ours["google_application_credentials"] = str(Path(settings.google_application_credentials).absolute())
    inherited = {
        name: value for name, value in os.environ.items() if name.lower() not in Settings.model_fields
    }
    return {
        **inherited,
        **{name.upper(): value for name, value in ours.items()},
        "DAGSTER_HOME": str(directory.dagster_home),
        "PYTHONUNBUFFERED": "1",  # a log file shows what was printed when it was printed
        PLATFORM_ID_VARIABLE: platform_id,
    }


def without_admin_key(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment of a process that must not know the administrators' key."""
    return {name: value for name, value in environment.items() if name != ADMIN_KEY_VARIABLE}


def instance_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment of the node, from which instances get what `passed_on` names; with the administrators' key.

    An instance listens on loopback, wherever the front door listens, and believes the front door who a caller is.
    """
    proxies = environment.get("TRUSTED_PROXIES", "")
    return {
        **environment,
        "API_HOST": LOOPBACK,
        "TRUSTED_PROXIES": ",".join(filter(None, (proxies, front_door_source()))),
    }


def passed_on(environment: Mapping[str, str]) -> tuple[str, ...]:
    """The variables that an instance gets from the node: the settings, and the mark by which its process is found."""
    ours = {name.upper() for name in Settings.model_fields} - {"API_PORT"}
    return tuple(sorted(name for name in environment if name in ours or name == PLATFORM_ID_VARIABLE))


def _addresses(ports: Ports, api_host: str) -> dict[str, str]:
    local_gcp = f"{LOOPBACK}:{ports.local_gcp_grpc}"
    return {
        "api_host": api_host,
        "api_port": str(ports.api),
        "dagster_url": f"http://{LOOPBACK}:{ports.webserver}",
        "bigquery_emulator_host": f"http://{LOOPBACK}:{ports.bigquery}",
        "kms_emulator_host": local_gcp,
        "secret_manager_emulator_host": local_gcp,
        "run_emulator_host": local_gcp,
        "build_emulator_host": local_gcp,
        "monitoring_emulator_host": local_gcp,
        "logging_emulator_host": local_gcp,
    }


def _as_text(value: object) -> str:
    """A setting as its variable's text."""
    match value:
        case SecretStr():
            return value.get_secret_value()
        case tuple():
            return ",".join(str(part) for part in value)
        case bool():
            return str(value).lower()
        case _:
            return str(value)
