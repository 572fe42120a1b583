"""The data directory: which file is where, and the lock that one platform at a time holds.

What belongs here: paths and the lock. What the files hold is decided where they are written.
"""

import fcntl
import os
import time
from dataclasses import dataclass
from pathlib import Path

from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.local_platform.model import ServiceName
from convergence_orchestration.settings import Environment

DEFAULT_NAME = ".convergence"
SUPERVISOR_LOG = "supervisor"
_LOCK_PAUSE_SECONDS = 0.05


@dataclass(frozen=True)
class DataDirectory:
    """Where one platform keeps everything. Two platforms with two data directories do not meet.

    Attributes:
        path: absolute.
    """

    path: Path

    @classmethod
    def at(cls, path: Path) -> "DataDirectory":
        """The data directory at `path`, which may be relative to the working directory and need not exist."""
        return cls(path.expanduser().resolve())

    @classmethod
    def name_for(cls, environment: Environment) -> str:
        """The name that the data directory of an environment has unless another one is chosen."""
        is_default = environment is Environment.DEVELOPMENT
        return DEFAULT_NAME if is_default else f"{DEFAULT_NAME}-{environment}"

    @property
    def record_file(self) -> Path:
        """What is remembered of the platform."""
        return self.path / "platform.json"

    @property
    def lock_file(self) -> Path:
        """Held by whoever runs the platform."""
        return self.path / "platform.lock"

    @property
    def logs(self) -> Path:
        """A file per service and one for the supervisor."""
        return self.path / "logs"

    @property
    def local_gcp(self) -> Path:
        """State of Google Cloud but BigQuery; images, instances and the front door's files too."""
        return self.path / "local_gcp"

    @property
    def authority_file(self) -> Path:
        """Who signed the certificates of Cloud Run's addresses here."""
        return self.local_gcp / "ca" / "ca.pem"

    @property
    def bigquery(self) -> Path:
        """State of BigQuery."""
        return self.path / "bigquery"

    @property
    def dagster_home(self) -> Path:
        """Dagster's storage and configuration."""
        return self.path / "dagster"

    @property
    def workspace_file(self) -> Path:
        """Where the web server and the daemon read the code server's address."""
        return self.dagster_home / "workspace.yaml"

    @property
    def faults_file(self) -> Path:
        """What both emulators are told to do wrong, if there is such a file; `local_gcp/faults.py` describes it."""
        return self.path / "faults.yaml"

    def log_of(self, service: ServiceName | str) -> Path:
        """The log file of a service, or of the supervisor by `SUPERVISOR_LOG`."""
        return self.logs / f"{service}.log"

    def create(self) -> None:
        """Make the directory and those in it, readable by nobody else: the key ring's key material is here.

        Raises:
            PermanentError: INVALID_ARGUMENT if that is not possible.
        """
        try:
            for directory in (self.path, self.logs, self.local_gcp, self.bigquery, self.dagster_home):
                directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise PermanentError(
                ErrorCode.INVALID_ARGUMENT,
                f"Choose another --data-dir: {self.path} cannot be used ({error.strerror or error}).",
            ) from error

    def lock(self, patience: float = 0) -> int | None:
        """Take the lock: its file descriptor, or None if a platform holds it, also after `patience` seconds.

        The descriptor can be passed on to a child process; the lock ends with the last copy of it.
        """
        descriptor = os.open(self.lock_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        deadline = time.monotonic() + patience
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    os.close(descriptor)
                    return None
                time.sleep(_LOCK_PAUSE_SECONDS)
            else:
                return descriptor

    def is_locked(self) -> bool:
        """A platform is running here, or is being started or stopped."""
        if not self.lock_file.exists():
            return False
        descriptor = self.lock()
        if descriptor is None:
            return True
        os.close(descriptor)
        return False
