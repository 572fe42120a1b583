"""The words of the local platform: its services, their states, the identity of a process.

What belongs here: enums and frozen dataclasses without I/O.
"""

from dataclasses import dataclass, field
from enum import StrEnum


class ServiceName(StrEnum):
    """A service or a step of the start; the value names its log file and its entry in `convergence status --json`."""

    LOCAL_GCP = "local_gcp"
    NODE = "node"
    FRONT_DOOR = "front_door"
    BIGQUERY = "bigquery"
    ADMIN_KEY = "admin_key"
    CODE_SERVER = "code_server"
    WEBSERVER = "webserver"
    DAEMON = "daemon"
    API = "api"


class ServiceState(StrEnum):
    """Where a service is in its life."""

    WAITING = "waiting"  # for the services it needs
    STARTING = "starting"
    HEALTHY = "healthy"
    DONE = "done"  # a step of the start that has ended well
    RESTARTING = "restarting"
    FAILED = "failed"
    STOPPED = "stopped"


class PlatformState(StrEnum):
    """Where the whole platform is in its life, as its supervisor last wrote it."""

    STARTING = "starting"
    RUNNING = "running"
    FAILED = "failed"
    STOPPING = "stopping"
    STOPPED = "stopped"


@dataclass(frozen=True)
class ProcessIdentity:
    """A process that no other can be mistaken for: process ids come back, start times do not.

    Attributes:
        pid: process id.
        created: start of the process, seconds since the epoch.
    """

    pid: int
    created: float


@dataclass(frozen=True)
class ServiceRecord:
    """What the supervisor knows of one service.

    Attributes:
        state: where it is in its life.
        identity: its process, if it has one.
        restarts: how often it was started again after it had died.
        seconds: from the start of its process until its probe succeeded.
        detail: what it waits for or why it failed, in words.
    """

    state: ServiceState = ServiceState.WAITING
    identity: ProcessIdentity | None = None
    restarts: int = 0
    seconds: float | None = None
    detail: str = ""


class AdminKeySource(StrEnum):
    """Where the administrators' key of a running platform is."""

    ENVIRONMENT = "ADMIN_API_KEY"
    SECRET_MANAGER = "Secret Manager"  # noqa: S105 the name of a place


@dataclass(frozen=True)
class PlatformRecord:
    """What is remembered of a platform in its data directory, over restarts and beyond the death of its supervisor.

    Attributes:
        platform_id: marks this start's processes: each carries it in its environment.
        base_port: the first of the ports.
        api_port_setting: API_PORT as it was when `base_port` was chosen.
        api_host: the address that the API listens on.
        state: of the whole platform.
        admin_key_source: where the administrators' key is.
        variables: the settings, none of them secret, that the platform was started with.
        supervisor: the process that watches the others.
        services: by name, in starting order.
        failure: why the start failed, in words.
    """

    platform_id: str
    base_port: int
    api_port_setting: int
    api_host: str
    state: PlatformState = PlatformState.STARTING
    admin_key_source: AdminKeySource = AdminKeySource.SECRET_MANAGER
    variables: dict[str, str] = field(default_factory=dict)
    supervisor: ProcessIdentity | None = None
    services: dict[ServiceName, ServiceRecord] = field(default_factory=dict)
    failure: str = ""
