"""The services of the platform: what each is started with, what it needs first, how its readiness is asked.

What belongs here: the table of services. How they are kept alive is `supervisor.py`'s business.
"""

import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import IntEnum, auto
from functools import partial
from itertools import chain

import httpx

from convergence_orchestration.local_gcp.front_door_contract import host_of
from convergence_orchestration.local_platform import cloud_run, lost_runs, probes
from convergence_orchestration.local_platform.dagster_home import LOCATION_NAME
from convergence_orchestration.local_platform.directory import DataDirectory
from convergence_orchestration.local_platform.environment import (
    environment_of,
    instance_environment,
    is_https_only,
    passed_on,
    without_admin_key,
)
from convergence_orchestration.local_platform.log_files import further_logs
from convergence_orchestration.local_platform.model import PlatformRecord, ServiceName
from convergence_orchestration.local_platform.ports import LOOPBACK, Ports, front_door_source, reachable
from convergence_orchestration.local_platform.probes import Probe
from convergence_orchestration.releases.specification import specification_of

_DEFINITIONS = "convergence_orchestration.definitions"
_DAGSTER = "convergence_orchestration.launching.dagster_process"


class Stops(IntEnum):
    """When a service is stopped: in this order, each when those before it have ended."""

    FIRST = auto()
    """What starts work by itself: it must not see the others go, and judge a release by that."""

    SECOND = auto()

    LAST = auto()
    """What the others use to their end."""


@dataclass(frozen=True)
class Service:
    """One process of the platform, or a step of its start.

    Attributes:
        command: program and arguments; never a secret, for anyone may read them.
        environment: all of its variables.
        probe: asks whether it can do its work; None: it can.
        is_step: it is done when its process has exited with 0, and its probe has succeeded after that.
        needs: what must be healthy, or done, before it is started.
        asked_after: what must be healthy before its own probe is worth asking.
        stops: its turn when the platform is stopped.
        once_healthy: called after each start when it is healthy, with when that was started (seconds since the epoch).
        once_ended: called when it was stopped for good, in a thread, with the seconds that it may take: it ends what
            outlives the process; it may be called twice.
        sessions: of the processes that belong to it and are not in its own session.
    """

    name: ServiceName
    command: tuple[str, ...]
    environment: Mapping[str, str]
    probe: Probe | None
    is_step: bool = False
    needs: frozenset[ServiceName] = frozenset()
    asked_after: frozenset[ServiceName] = frozenset()
    stops: Stops = Stops.SECOND
    once_healthy: Callable[[httpx.AsyncClient, float], Awaitable[None]] | None = field(
        default=None, repr=False
    )
    once_ended: Callable[[float], None] | None = field(default=None, repr=False)
    sessions: Callable[[], frozenset[int]] = field(default=frozenset, repr=False)


@dataclass(frozen=True)
class Addresses:
    """Where the platform's services are reached.

    Attributes:
        authority_file: PEM of the authority that signed the API's certificate; None: it is asked in clear.
    """

    api: str
    webserver: str
    bigquery: str
    local_gcp_grpc: str
    local_gcp_rest: str
    authority_file: str | None = None

    @classmethod
    def of(cls, platform: PlatformRecord) -> "Addresses":
        """The addresses of a platform."""
        ports = Ports(platform.base_port)
        has_tls = is_https_only(environment_of(platform))
        return cls(
            api=_api_with_tls(platform, ports) if has_tls else _api_in_clear(platform, ports),
            authority_file=platform.variables.get("run_authority_file") if has_tls else None,
            webserver=f"http://{LOOPBACK}:{ports.webserver}",
            bigquery=f"http://{LOOPBACK}:{ports.bigquery}",
            local_gcp_grpc=f"{LOOPBACK}:{ports.local_gcp_grpc}",
            local_gcp_rest=f"http://{LOOPBACK}:{ports.local_gcp_rest}",
        )


def _api_with_tls(platform: PlatformRecord, ports: Ports) -> str:
    """By the name that Cloud Run gives the service, which its certificate is for."""
    service = specification_of(environment_of(platform)).service
    return f"https://{host_of(service)}:{ports.front_door_https}"


def _api_in_clear(platform: PlatformRecord, ports: Ports) -> str:
    host = reachable(platform.api_host)
    return f"http://{f'[{host}]' if ':' in host else host}:{ports.api}"


@dataclass(frozen=True)
class ApiDeployment:
    """How the API gets served.

    Attributes:
        service: of Cloud Run.
        release: what is made first.
        is_done: unless something was made before.
        most_instances: of one revision.
        is_https_only: nobody is served in clear.
    """

    service: str
    release: str
    is_done: bool
    most_instances: int
    is_https_only: bool = False


def service_probes(
    ports: Ports, addresses: Addresses, project: str, now: Callable[[], float] = time.time
) -> dict[ServiceName, Probe]:
    """How each service is asked, by the supervisor when it starts and by `convergence status` at any time."""
    return {
        ServiceName.LOCAL_GCP: probes.both(
            probes.grpc_probe(ports.local_gcp_grpc), probes.http_probe(f"{addresses.local_gcp_rest}/healthz")
        ),
        ServiceName.NODE: probes.http_probe(f"http://{LOOPBACK}:{ports.node}/healthz"),
        ServiceName.FRONT_DOOR: probes.http_probe(f"http://{LOOPBACK}:{ports.front_door_admin}/ready"),
        ServiceName.BIGQUERY: probes.bigquery_probe(addresses.bigquery, project),
        ServiceName.CODE_SERVER: probes.grpc_probe(ports.code_server, "DagsterApi"),
        ServiceName.WEBSERVER: probes.code_location_probe(addresses.webserver),
        ServiceName.DAEMON: probes.daemon_probe(addresses.webserver, now),
        ServiceName.API: probes.served_api_probe(addresses.api, addresses.authority_file),
    }


def platform_services(
    directory: DataDirectory,
    ports: Ports,
    addresses: Addresses,
    project: str,
    environment: Mapping[str, str],
    *,
    is_first_start: bool,
    api: ApiDeployment,
) -> tuple[Service, ...]:
    """The whole platform, in starting order.

    Most of a start is Python importing, which keeps two cores busy: starting everything at once was measured to be no
    quicker (9 to 10 s either way) than letting the web server and the daemon wait for the code they ask for, and fills
    their logs with tracebacks.
    """
    asked = service_probes(ports, addresses, project)
    public = without_admin_key(environment)
    of_instances = instance_environment(environment)
    workspace = ("-w", str(directory.workspace_file))
    faults = ("--faults", str(directory.faults_file))
    settle = partial(
        lost_runs.settle, url=addresses.webserver, home=directory.dagster_home, platform_started=time.time()
    )
    code_server, webserver = frozenset({ServiceName.CODE_SERVER}), frozenset({ServiceName.WEBSERVER})
    return (
        Service(
            ServiceName.LOCAL_GCP,
            _python(
                *("convergence_orchestration.local_gcp.server", "--data-dir", str(directory.local_gcp)),
                *("--grpc-port", str(ports.local_gcp_grpc), "--rest-port", str(ports.local_gcp_rest)),
                *("--front-door-port", str(ports.front_door_https)),
                *_log_arguments(directory),
                *faults,
            ),
            public,
            asked[ServiceName.LOCAL_GCP],
            stops=Stops.LAST,
        ),
        Service(
            ServiceName.NODE,
            _python(
                *("convergence_orchestration.local_gcp.node", "--data-dir", str(directory.local_gcp)),
                *("--health-port", str(ports.node), "--most-instances", str(api.most_instances)),
                *chain.from_iterable(("--pass-env", name) for name in passed_on(of_instances)),
            ),
            of_instances,
            asked[ServiceName.NODE],
            needs=frozenset({ServiceName.LOCAL_GCP}),
            once_ended=partial(cloud_run.end_instances, directory),
            sessions=partial(cloud_run.instance_sessions, directory),
        ),
        Service(
            ServiceName.FRONT_DOOR,
            _python(
                *("convergence_orchestration.local_gcp.front_door", "--data-dir", str(directory.local_gcp)),
                *("--http-port", str(ports.api), "--https-port", str(ports.front_door_https)),
                *("--admin-port", str(ports.front_door_admin), "--source", front_door_source()),
                *("--host", environment.get("API_HOST", LOOPBACK), "--default", api.service),
                *(("--https-only",) if api.is_https_only else ()),
            ),
            public,
            asked[ServiceName.FRONT_DOOR],
            # the routes of the last time name ports that may be others' by now: the node writes them anew first
            needs=frozenset({ServiceName.NODE}),
            stops=Stops.LAST,
            sessions=partial(cloud_run.envoy_sessions, directory),
        ),
        Service(
            ServiceName.BIGQUERY,
            _python(
                *("convergence_orchestration.local_gcp.bigquery", "--data-dir", str(directory.bigquery)),
                *("--port", str(ports.bigquery)),
                *faults,
            ),
            public,
            asked[ServiceName.BIGQUERY],
            stops=Stops.LAST,
        ),
        # `dagster api grpc` rather than `dagster code-server start`: the latter is a proxy with the former as its child, so
        # it imports Dagster twice, takes 120 MB more, and hides the child's death from the supervisor. What it is for,
        # loading changed code at the UI's "Reload", `convergence down` and `up` do as well.
        Service(
            ServiceName.CODE_SERVER,
            _python(
                *(_DAGSTER, "code_server", "--module-name", _DEFINITIONS, "--empty-working-directory"),
                *("--host", LOOPBACK, "--port", str(ports.code_server), "--location-name", LOCATION_NAME),
            ),
            public,
            asked[ServiceName.CODE_SERVER],
            stops=Stops.FIRST,  # the daemon's sensors are evaluated here
        ),
        Service(
            ServiceName.WEBSERVER,
            _python(_DAGSTER, "webserver", "-h", LOOPBACK, "-p", str(ports.webserver), *workspace),
            public,
            asked[ServiceName.WEBSERVER],
            needs=code_server,
            stops=Stops.LAST,  # the API's last callers are told how their runs ended
            once_healthy=settle,
        ),
        # Two processes that make Dagster's SQLite tables at once fail ("table runs already exists"): the first time, the
        # daemon waits for the web server to have made them.
        Service(
            ServiceName.DAEMON,
            _python(_DAGSTER, "daemon", *workspace),
            public,
            asked[ServiceName.DAEMON],
            stops=Stops.FIRST,
            needs=webserver if is_first_start else code_server,
            asked_after=webserver,
            once_healthy=settle,
        ),
        Service(
            ServiceName.ADMIN_KEY,
            _python("convergence_orchestration.local_platform.prepare"),
            public,
            probe=None,
            is_step=True,
            needs=frozenset({ServiceName.LOCAL_GCP}),
        ),
        Service(
            ServiceName.API,
            _python("convergence_orchestration.local_platform.deploying", str(directory.path), api.release),
            public,
            asked[ServiceName.API],
            is_step=True,
            needs=frozenset(
                {ServiceName.NODE, ServiceName.FRONT_DOOR, ServiceName.ADMIN_KEY, ServiceName.BIGQUERY}
            ).union(frozenset() if api.is_done else webserver),
            # it keeps an answer about its readiness for some seconds, so it is not asked too early
            asked_after=webserver,
        ),
    )


def _log_arguments(directory: DataDirectory) -> Iterator[str]:
    """Whose logs the local Cloud Logging serves."""
    yield from ("--logs", str(directory.logs))
    for name, path in further_logs(directory).items():
        yield from ("--log", f"{name}={path}")


def _python(module: str, *arguments: str) -> tuple[str, ...]:
    """The command that runs a module. -P: what lies in the working directory must not be taken for a module."""
    return (sys.executable, "-P", "-m", module, *arguments)
