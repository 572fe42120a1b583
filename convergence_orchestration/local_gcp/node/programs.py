"""What an instance of a revision runs.

What belongs here: command and environment, with the values of secrets. They go into the child's environment and nowhere else:
no argument, no file, no log line.
"""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from google.cloud.run_v2 import EnvVar, Revision

from convergence_orchestration.local_gcp import images
from convergence_orchestration.local_gcp.cloud_run import names
from convergence_orchestration.local_gcp.node.processes import ID_VARIABLE, Program
from convergence_orchestration.local_gcp.refusals import Refusal
from convergence_orchestration.local_gcp.secret_manager import versions
from convergence_orchestration.local_gcp.store import Rows

LOGS = "instance-logs"
_UNITS = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "k": 10**3, "M": 10**6, "G": 10**9}


class CannotRunError(Exception):
    """The revision cannot be run as it is; the message says why, and no secret.

    Attributes:
        is_about_secrets: a secret cannot be read.
    """

    def __init__(self, message: str, *, is_about_secrets: bool = False) -> None:
        super().__init__(message)
        self.message = message
        self.is_about_secrets = is_about_secrets


@dataclass(frozen=True)
class Surroundings:
    """What the machine gives to the instances.

    Attributes:
        variables: of its own, for each of them.
        is_memory_limited: whether they are held to their memory limit.
        most_instances: so many of one revision have room, whatever it asks for; None: as many as it asks for.
    """

    variables: Mapping[str, str]
    is_memory_limited: bool = False
    most_instances: int | None = None


def program_for(
    rows: Rows, revision: Revision, data_dir: Path, surroundings: Surroundings, instance_id: str, port: int
) -> Program:
    """What this instance runs; its image's files come before everything else that Python could import.

    Raises:
        CannotRunError: its image is gone, nothing says what to run, or a secret cannot be read.
    """
    container = revision.containers[0]
    digest = container.image.partition("@")[2]
    manifest = images.read_manifest(data_dir, digest)
    if manifest is None:
        raise CannotRunError(f"Image '{container.image}' not found.")
    command = _command(list(container.command), list(container.args), list(manifest.command))
    if not command:
        raise CannotRunError("The image has no CMD and the container no command: nothing says what to run.")
    root = images.root_of(data_dir, digest)
    logs = data_dir / LOGS
    logs.mkdir(exist_ok=True)
    bin_directory = str(Path(sys.executable).parent)
    environment = {
        "PATH": os.pathsep.join([bin_directory, os.environ.get("PATH", os.defpath)]),
        "HOME": os.environ.get("HOME", "/"),
        "LANG": "C.UTF-8",
        **surroundings.variables,
        **{variable.name: _value(rows, revision, variable) for variable in container.env},
        "PYTHONPATH": str(root),
        "PYTHONSAFEPATH": "1",  # as -P: the directory that it starts in holds no modules
        "PYTHONUNBUFFERED": "1",
        "PORT": str(port),
        "K_SERVICE": revision.service,
        "K_REVISION": names.short(revision.name),
        "K_CONFIGURATION": revision.service,
        ID_VARIABLE: instance_id,
    }
    memory = _bytes(container.resources.limits.get("memory", "")) if surroundings.is_memory_limited else None
    return Program(command, environment, root, logs / f"{names.short(revision.name)}.log", memory)


def _command(command: list[str], arguments: list[str], of_image: list[str]) -> tuple[str, ...]:
    # As in Cloud Run, `command` replaces the image's, `args` alone are added to it.
    return tuple(command + arguments if command else of_image + arguments)


def _value(rows: Rows, revision: Revision, variable: EnvVar) -> str:
    if "value_source" not in variable:
        return variable.value
    reference = variable.value_source.secret_key_ref
    project = revision.name.split("/")[1]
    secret = reference.secret if "/" in reference.secret else f"projects/{project}/secrets/{reference.secret}"
    name = f"{secret}/versions/{reference.version or 'latest'}"
    try:
        version = versions.require_version(rows, name)
    except Refusal:
        raise CannotRunError(f"Secret {name} was not found", is_about_secrets=True) from None
    payload = rows.open(version.name) if version.state == versions.State.ENABLED else None
    if payload is None:
        state = version.state.name
        raise CannotRunError(f"Secret {name} is in {state} state and cannot be read", is_about_secrets=True)
    try:
        return payload.decode()
    except UnicodeDecodeError:
        raise CannotRunError(f"Secret {name} is no text", is_about_secrets=True) from None


def _bytes(quantity: str) -> int | None:
    for unit, size in _UNITS.items():
        if quantity.endswith(unit) and quantity.removesuffix(unit).isdecimal():
            return int(quantity.removesuffix(unit)) * size
    return int(quantity) if quantity.isdecimal() else None
