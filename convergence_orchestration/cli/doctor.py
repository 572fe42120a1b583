"""`convergence doctor`: what ails the platform, and what to type.

What belongs here: the command, and finding out what is to be examined: with everything stopped, or before there was anything,
too.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from convergence_orchestration.cli.admin_keys import GoogleCloud
from convergence_orchestration.cli.options import DEFAULT_DATA_DIR, AsJson, DataDir, directory_at, flag_for
from convergence_orchestration.cli.reporting import ExitStatus, console

if TYPE_CHECKING:
    from convergence_orchestration.doctor.model import Finding
    from convergence_orchestration.gcp.addresses import Address
    from convergence_orchestration.local_platform.model import PlatformRecord
    from convergence_orchestration.settings import Settings

_STYLES = {"ok": "green", "problem": "bold red", "unknown": "yellow"}


def doctor(
    *, as_json: AsJson = False, data_dir: DataDir = DEFAULT_DATA_DIR, google_cloud: GoogleCloud = False
) -> None:
    """Look for problems and name, for each, the cause and the command that mends it: exit status 1 if there is one."""
    from convergence_orchestration.doctor.model import has_problem  # noqa: PLC0415 not for --help

    findings = _findings(data_dir, google_cloud=google_cloud)
    if as_json:
        typer.echo(json.dumps([_as_json(finding) for finding in findings], indent=2))
    else:
        _print(findings)
    if has_problem(findings):
        raise typer.Exit(ExitStatus.FAILED)


def _findings(data_dir: Path, *, google_cloud: bool) -> "tuple[Finding, ...]":
    from convergence_orchestration.doctor import examining  # noqa: PLC0415 not for --help
    from convergence_orchestration.doctor.model import Patient  # noqa: PLC0415
    from convergence_orchestration.errors import PermanentError  # noqa: PLC0415
    from convergence_orchestration.local_platform import record  # noqa: PLC0415
    from convergence_orchestration.local_platform.environment import platform_settings  # noqa: PLC0415
    from convergence_orchestration.settings import load_settings  # noqa: PLC0415

    directory = directory_at(data_dir)
    options = " --google-cloud" if google_cloud else flag_for(data_dir)
    platform = None if google_cloud else record.read(directory)
    try:
        settings = platform_settings(platform) if platform else load_settings()
    except PermanentError as error:
        return examining.without_settings(error.message, directory.path)
    if platform is None and not google_cloud:
        return examining.before_the_first_start(Patient(settings, options), directory.path)
    api_url = _api_url(platform) if platform else None
    return examining.examine(Patient(settings, options), directory.path, _dagster(settings), api_url)


def _api_url(platform: "PlatformRecord") -> str:
    from convergence_orchestration.local_platform.services import Addresses  # noqa: PLC0415 not for --help

    return Addresses.of(platform).api


def _dagster(settings: "Settings") -> "list[Address]":
    from convergence_orchestration.gcp.addresses import Address  # noqa: PLC0415 not for --help

    url = settings.dagster_url
    is_plain = url.scheme == "http"
    host, port = url.host or "", url.port or 80
    return [Address("Dagster", "", host, port, is_emulator=is_plain, speaks_http=True)]


def _print(findings: "tuple[Finding, ...]") -> None:
    screen = console()
    for finding in findings:
        style = _STYLES[finding.state]
        screen.print(f"[{style}]{finding.state:<8}[/] {finding.area:<16} ", end="")
        screen.print(f"{finding.subject}: {finding.cause}", markup=False, soft_wrap=True)
        if finding.cure:
            screen.print(f"{'':26}-> {finding.cure}", markup=False, soft_wrap=True)
    counts = {state: sum(finding.state == state for finding in findings) for state in _STYLES}
    screen.print(", ".join(f"{count} {state}" for state, count in counts.items()))


def _as_json(finding: "Finding") -> dict[str, str]:
    return {name: str(getattr(finding, name)) for name in ("area", "subject", "state", "cause", "cure")}
