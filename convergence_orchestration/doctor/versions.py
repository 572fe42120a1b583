"""Whether what runs here is what the repository says.

What belongs here: Python, the lock, the catalogue, the API that is deployed, and the log lines' format; looked at and judged.
"""

import json
import logging
import re
import sys
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

import httpx

import convergence_orchestration
from convergence_orchestration import __version__
from convergence_orchestration.doctor.model import Area, Finding, Patient, State
from convergence_orchestration.errors import PermanentError
from convergence_orchestration.logs import sample
from convergence_orchestration.releases.answering import client
from convergence_orchestration.warehouse.catalogue import central_tables, tenant_tables

_ROOT: Final = Path(convergence_orchestration.__file__).parents[1]
_PYTHON: Final = (3, 13)
_PIN: Final = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)(?:\[[^]]*\])?==(?P<version>[^\s;\\]+)")
_MOST_NAMED: Final = 5
_SECONDS: Final = 5.0
_SETUP: Final = "make setup"


def versions(patient: Patient, api_url: str | None = None, root: Path = _ROOT) -> Iterator[Finding]:
    """Every version that can be wrong."""
    yield from unconfigured(root)
    if api_url is not None:
        yield deployed(served_version(api_url, patient.settings.run_authority_file), api_url, patient)


def unconfigured(root: Path = _ROOT) -> Iterator[Finding]:
    """Those that need no settings."""
    yield python(sys.version_info[:2])
    yield locked(root)
    yield catalogue()
    yield log_records()


def python(found: tuple[int, ...]) -> Finding:
    """Whether this Python is the one that the lock was made for."""
    words = ".".join(map(str, found))
    if found[:2] == _PYTHON:
        return Finding(Area.VERSIONS, "Python", State.OK, words)
    wanted = ".".join(map(str, _PYTHON))
    return Finding(
        Area.VERSIONS,
        "Python",
        State.PROBLEM,
        f"this is Python {words}, not {wanted}",
        f"rm -rf .venv && {_SETUP}",
    )


def locked(root: Path) -> Finding:
    """Whether the installed packages are those of requirements.lock."""
    path = root / "requirements.lock"
    try:
        pins = pins_of(path.read_text("utf-8"))
    except OSError:
        return Finding(Area.VERSIONS, "packages", State.UNKNOWN, f"there is no {path}")
    return packages(pins, {name: _installed(name) for name in pins})


def packages(pins: Mapping[str, str], installed: Mapping[str, str | None]) -> Finding:
    """The judgement: an installed version beside each pin, None for what is not installed."""
    wrong = [
        f"{name} {installed[name] or 'missing'} instead of {wanted}"
        for name, wanted in pins.items()
        if installed[name] != wanted
    ]
    if not wrong:
        words = f"{len(pins)} packages as locked, dagster {pins.get('dagster', 'none')}"
        return Finding(Area.VERSIONS, "packages", State.OK, words)
    rest = f" and {len(wrong) - _MOST_NAMED} more" if len(wrong) > _MOST_NAMED else ""
    return Finding(Area.VERSIONS, "packages", State.PROBLEM, ", ".join(wrong[:_MOST_NAMED]) + rest, _SETUP)


def pins_of(lock: str) -> dict[str, str]:
    """Package and version of each pin of a lock file."""
    found = (_PIN.match(line) for line in lock.splitlines())
    return {pin["name"].lower(): pin["version"] for pin in found if pin}


def catalogue() -> Finding:
    """Whether the tables' declarations load; they do not when one changed without a new version."""
    try:
        count = len(central_tables()) + len(tenant_tables())
    except PermanentError as error:
        return Finding(
            Area.VERSIONS,
            "catalogue",
            State.PROBLEM,
            error.message,
            ".venv/bin/python scripts/record_catalogue.py",
        )
    return Finding(Area.VERSIONS, "catalogue", State.OK, f"{count} tables, each of a recorded version")


def log_records() -> Finding:
    """The guide's third problem, `Attempt to overwrite 'created' in LogRecord`: tried with every attribute's name."""
    subject = "log records"
    names = sorted(vars(logging.makeLogRecord({})))
    try:
        sample(**dict.fromkeys(names, "x"))
    except (KeyError, TypeError) as error:
        cause = f"a log line fails by its fields' names ({error}): this is an old version"
        return Finding(Area.VERSIONS, subject, State.PROBLEM, cause, f"git pull && {_SETUP}")
    words = f"none of {len(names)} reserved names, `created` among them, breaks a line"
    return Finding(Area.VERSIONS, subject, State.OK, words)


def deployed(served: str | None, api_url: str, patient: Patient) -> Finding:
    """Whether the API that is served is of this version; None is one that does not say."""
    subject = f"API at {api_url}"
    if served is None:
        return Finding(Area.VERSIONS, subject, State.UNKNOWN, "it does not tell its version")
    if served == __version__:
        return Finding(Area.VERSIONS, subject, State.OK, served)
    config = {"ops": {"check_release": {"config": {"environment": patient.settings.environment.value}}}}
    return Finding(
        Area.VERSIONS,
        subject,
        State.PROBLEM,
        f"it serves version {served}, this is {__version__}: what is mended here is not mended there",
        f"dagster job launch -j deploy_service --config-json '{json.dumps(config)}'",
    )


def served_version(api_url: str, authority_file: str | None = None) -> str | None:
    """The version that an API's /health tells; None if it tells none, or shows no certificate of this authority."""
    try:
        with client(authority_file, _SECONDS) as http:
            return str(http.get(f"{api_url}/health").json()["version"])
    except (httpx.HTTPError, OSError, ValueError, KeyError, TypeError):
        return None


def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
