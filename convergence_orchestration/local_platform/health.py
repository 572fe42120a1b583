"""How a platform is, asked now: the probes that its start waited for, and whether the processes are those recorded.

What belongs here: `convergence status`.
"""

import asyncio
import time
from collections.abc import Coroutine
from dataclasses import asdict, dataclass
from typing import Any

import httpx

from convergence_orchestration.local_platform import cloud_run, processes, record
from convergence_orchestration.local_platform.directory import SUPERVISOR_LOG, DataDirectory
from convergence_orchestration.local_platform.model import PlatformRecord, ServiceName, ServiceRecord
from convergence_orchestration.local_platform.ports import Ports
from convergence_orchestration.local_platform.probes import NotReady, Probe
from convergence_orchestration.local_platform.services import Addresses, service_probes

_ANSWER_SECONDS = 10.0


@dataclass(frozen=True)
class ServiceHealth:
    """One service: `healthy` was asked now, the rest is from its supervisor."""

    healthy: bool
    state: str
    pid: int | None
    restarts: int
    detail: str


@dataclass(frozen=True)
class PlatformHealth:
    """What `convergence status --json` prints, these keys exactly; addresses are None if none was ever started here."""

    api_url: str | None
    dagster_url: str | None
    bigquery_url: str | None
    local_gcp_address: str | None
    data_dir: str
    healthy: bool
    services: dict[str, ServiceHealth]
    instances: tuple[cloud_run.RunningInstance, ...] = ()

    @property
    def is_down(self) -> bool:
        """Nothing of it is alive."""
        return not self.services

    def as_json(self) -> dict[str, object]:
        """The same as plain values."""
        return asdict(self)


def look(directory: DataDirectory) -> PlatformHealth:
    """Ask every service of the platform in `directory`, all at once; at most 10 s."""
    platform = record.read(directory)
    if platform is None or not processes.members(platform):
        return _health(directory, platform, {})
    instances = cloud_run.instances(directory)
    return _health(directory, platform, asyncio.run(_ask_all(platform, instances)), instances)


def _health(
    directory: DataDirectory,
    platform: PlatformRecord | None,
    services: dict[str, ServiceHealth],
    instances: tuple[cloud_run.RunningInstance, ...] = (),
) -> PlatformHealth:
    addresses = Addresses.of(platform) if platform else None
    return PlatformHealth(
        api_url=addresses.api if addresses else None,
        dagster_url=addresses.webserver if addresses else None,
        bigquery_url=addresses.bigquery if addresses else None,
        local_gcp_address=addresses.local_gcp_grpc if addresses else None,
        data_dir=str(directory.path),
        healthy=bool(services) and all(service.healthy for service in services.values()),
        services=services,
        instances=instances,
    )


async def _ask_all(
    platform: PlatformRecord, instances: tuple[cloud_run.RunningInstance, ...]
) -> dict[str, ServiceHealth]:
    asked = service_probes(
        Ports(platform.base_port), Addresses.of(platform), platform.variables["gcp_project_id"], time.time
    )
    async with httpx.AsyncClient(trust_env=False) as client:
        api = asked.pop(ServiceName.API)
        found = await asyncio.gather(
            *(_ask(platform, name, probe, client) for name, probe in asked.items()),
            _ask_api(platform, api, client, next((one.pid for one in instances), None)),
        )
    return {SUPERVISOR_LOG: _supervisor(platform), **dict(found)}


async def _ask(
    platform: PlatformRecord, name: ServiceName, probe: Probe, client: httpx.AsyncClient
) -> tuple[str, ServiceHealth]:
    known = platform.services.get(name, ServiceRecord())
    if known.identity is None or processes.alive(known.identity) is None:
        trouble = known.detail or "its process is not there"
    else:
        trouble = await _trouble(probe(client, known.identity.created))
    pid = known.identity.pid if known.identity else None
    return name.value, ServiceHealth(not trouble, known.state.value, pid, known.restarts, trouble)


async def _ask_api(
    platform: PlatformRecord, probe: Probe, client: httpx.AsyncClient, pid: int | None
) -> tuple[str, ServiceHealth]:
    """The API has no process of the supervisor: its instances are the node's, and the front door is asked for it."""
    known = platform.services.get(ServiceName.API, ServiceRecord())
    trouble = await _trouble(probe(client, 0))
    return ServiceName.API.value, ServiceHealth(
        not trouble, known.state.value, pid, known.restarts, trouble and (known.detail or trouble)
    )


async def _trouble(asking: Coroutine[Any, Any, None]) -> str:
    """Why it is not ready, empty if it is."""
    try:
        await asyncio.wait_for(asking, _ANSWER_SECONDS)
    except NotReady as reason:
        return str(reason)
    except TimeoutError:
        return f"no answer within {_ANSWER_SECONDS:g} s"
    return ""


def _supervisor(platform: PlatformRecord) -> ServiceHealth:
    is_alive = processes.alive(platform.supervisor) is not None
    pid = platform.supervisor.pid if platform.supervisor else None
    detail = "" if is_alive else "no supervisor is left: `convergence down` ends what remains"
    return ServiceHealth(is_alive, platform.state.value, pid, 0, detail)
