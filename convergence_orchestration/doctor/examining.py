"""The whole examination, in an order in which what comes first may explain what comes later.

What belongs here: putting the parts together. None of them raises: what cannot be looked at is a finding.
"""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from convergence_orchestration.doctor.calls import calls
from convergence_orchestration.doctor.configuration import configuration, unreadable
from convergence_orchestration.doctor.disk import disk, room_of
from convergence_orchestration.doctor.model import Area, Finding, Patient, State
from convergence_orchestration.doctor.network import clocks, look, reachability
from convergence_orchestration.doctor.permissions import permissions
from convergence_orchestration.doctor.quotas import quotas
from convergence_orchestration.doctor.versions import unconfigured, versions
from convergence_orchestration.gcp.addresses import Address, addresses_of


def examine(
    patient: Patient,
    directory: Path,
    further: Iterable[Address] = (),
    api_url: str | None = None,
) -> tuple[Finding, ...]:
    """Every finding.

    Args:
        patient: who is examined.
        directory: what the platform writes into.
        further: addresses besides Google's, such as Dagster's.
        api_url: where the API is served, if that is known.
    """
    addresses = (*addresses_of(patient.settings), *further)
    with ThreadPoolExecutor(len(addresses), thread_name_prefix="doctor") as threads:
        seen = tuple(threads.map(look, addresses))
    reached = frozenset(one.address.name for one in seen if one.answers)
    return (
        *configuration(patient.settings),
        *versions(patient, api_url),
        disk(directory, room_of(directory)),
        *(reachability(one, patient) for one in seen),
        *clocks(seen),
        *permissions(patient, reached),
        *calls(patient, reached),
        quotas(patient, reached),
    )


def without_settings(message: str, directory: Path) -> tuple[Finding, ...]:
    """What can be said where the settings cannot be read; `message` is why."""
    return (unreadable(message), *unconfigured(), disk(directory, room_of(directory)))


def before_the_first_start(patient: Patient, directory: Path) -> tuple[Finding, ...]:
    """What can be said where nothing has ever run: there is nobody to be reached."""
    cure = patient.command("up")
    nobody = f"nothing has run in {directory} yet"
    return (
        *configuration(patient.settings),
        *unconfigured(),
        disk(directory, room_of(directory)),
        Finding(Area.REACHABILITY, "the local platform", State.UNKNOWN, nobody, cure),
    )
