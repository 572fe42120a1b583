"""Keeping Envoy running and configured as the node asks.

What belongs here: what is looked at in each round and what follows. Each round starts from what is on disk and what Envoy
says, so this process may die between any two lines: its successor adopts Envoy and goes on.
"""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from convergence_orchestration.errors import ConvergenceError, PermanentError, TransientError
from convergence_orchestration.local_gcp.front_door.admin import EnvoyAdmin
from convergence_orchestration.local_gcp.front_door.bootstrap import FrontDoorPorts
from convergence_orchestration.local_gcp.front_door.checking import read_valid_routes
from convergence_orchestration.local_gcp.front_door.configuring import Configuration
from convergence_orchestration.local_gcp.front_door.directory import Directory
from convergence_orchestration.local_gcp.front_door.envoy import EnvoyProcess
from convergence_orchestration.local_gcp.front_door.load import Load
from convergence_orchestration.local_gcp.front_door.pulse import Pulse
from convergence_orchestration.local_gcp.front_door.rendering import hosts
from convergence_orchestration.local_gcp.front_door_contract import (
    ROUTES_FILE,
    FrontDoorStatus,
    Routes,
    write_routes,
    write_status,
)
from convergence_orchestration.local_gcp.local_ca import LOCAL_NAMES, ensure_leaf
from convergence_orchestration.logs import logger

_LOOK_EVERY = timedelta(seconds=0.25)
_TELL_EVERY = timedelta(seconds=1)
_PULSE_EVERY = timedelta(seconds=1)
_LOOKS_KEPT = 20
_CERTIFICATES_EVERY = timedelta(hours=1)
_READY_WITHIN = timedelta(seconds=15)
_FIRST_PAUSE = timedelta(seconds=0.1)
_LONGEST_PAUSE = timedelta(seconds=5)
_LONG_ALIVE = timedelta(seconds=10)
_LONG_AGO = datetime.fromtimestamp(0).astimezone()
_log = logger(__name__)


@dataclass
class _Times:
    """When something was last done, or may be done again."""

    started: datetime = _LONG_AGO
    may_start: datetime = _LONG_AGO
    looked: datetime = _LONG_AGO
    told: datetime = _LONG_AGO
    felt: datetime = _LONG_AGO
    certificates: datetime = _LONG_AGO
    pause: timedelta = _FIRST_PAUSE


class Supervisor:
    """Rounds of looking after one Envoy; call `round` some fifty times a second."""

    def __init__(
        self,
        directory: Directory,
        ports: FrontDoorPorts,
        clock: Callable[[], datetime],
        names: tuple[str, ...] = LOCAL_NAMES,
        default: str = "",
    ) -> None:
        self._directory = directory
        self._clock = clock
        self._names = names
        self._envoy = EnvoyProcess(directory, ports)
        self._pulse = Pulse(ports)
        self.admin = EnvoyAdmin(directory.admin_address)
        self._log_position = 0
        self._configuration = Configuration(
            directory, self.admin, lambda: self._envoy.last_words(self._log_position), default=default
        )
        self._good = self._last_good()
        self._served: Routes | None = None  # unknown until Envoy has confirmed it to this process
        self._wanted: Routes | None = None
        self._refused: Routes | None = None
        self._seen: tuple[int, ...] = ()
        self._is_ready = False
        self._certificate: int | None = None
        self._load = Load(_LOOKS_KEPT)
        self._told = FrontDoorStatus(self._good.version)
        self._times = _Times()

    @property
    def envoy_pid(self) -> int | None:
        """Envoy's process id."""
        return self._envoy.pid

    def begin(self) -> None:
        """Adopt the Envoy that is there, or start one.

        Raises:
            PermanentError: INVALID_SETTINGS, a port is taken.
        """
        self._renew_certificates(self._clock(), self._good)
        if self._envoy.adopt():
            _log.info("Envoy is adopted.", pid=self._envoy.pid)
            self._times.started = self._clock()
        else:
            self._start(self._clock())

    def round(self) -> None:
        """Look once at everything, and do what has to be done now."""
        now = self._clock()
        if not self._envoy.is_alive():
            self._start_again(now)
        elif self._hangs(now):
            _log.error("Envoy hangs and is ended.", pid=self._envoy.pid)
            self._envoy.kill()
        elif self._is_ready or self._has_become_ready(now):
            self._follow_routes()
            self._tell_load(now)
        if now - self._times.certificates > _CERTIFICATES_EVERY:
            self._renew_certificates(now, self._good)

    def end(self) -> None:
        """Stop Envoy too: an orderly end is the end of the front door."""
        self._envoy.stop()

    # Envoy's life

    def _start_again(self, now: datetime) -> None:
        if now < self._times.may_start:
            return
        lived_long = now - self._times.started > _LONG_ALIVE
        self._times.pause = _FIRST_PAUSE if lived_long else min(self._times.pause * 2, _LONGEST_PAUSE)
        self._times.may_start = now + self._times.pause
        _log.warning("Envoy has ended and is started again.")
        try:
            self._start(now)
        except PermanentError as error:
            _log.error("Envoy cannot be started.", error=error.message)

    def _start(self, now: datetime) -> None:
        self._is_ready = False
        self._pulse.begin()
        self._served = None
        self._configuration.write(self._good)
        self._times.started = now
        self._envoy.start()

    def _hangs(self, now: datetime) -> bool:
        if not self._is_ready or now - self._times.felt < _PULSE_EVERY:
            return False
        self._times.felt = now
        return not self._pulse.is_there()

    def _has_become_ready(self, now: datetime) -> bool:
        self._is_ready = self.admin.is_ready()
        if not self._is_ready and now - self._times.started > _READY_WITHIN:
            _log.error("Envoy is not ready and is started anew.", last_words=self._envoy.last_words(0))
            self._envoy.stop()
        return self._is_ready

    # what it serves

    def _follow_routes(self) -> None:
        self._read_wanted()
        target = self._wanted if self._wanted not in {None, self._refused} else self._good
        if target is None or target == self._served:
            if self._told.refused and self._wanted == self._served:
                self._tell(replace(self._told, refused=None))  # the good ones were written again
            return
        self._log_position = self._envoy.log_size()
        try:
            self._renew_certificates(self._clock(), target)
            self._configuration.change(self._served or self._good, target, self._certificate)
        except TransientError as error:
            _log.warning("Envoy could not be told of new routes; it is told again.", error=error.message)
            self._is_ready = False
        except PermanentError as error:
            self._refuse(target, error)
        else:
            self._confirm(target)

    def _confirm(self, routes: Routes) -> None:
        write_routes(self._directory.last_good, routes)
        self._good = self._served = routes
        refused = None if routes == self._wanted else self._told.refused
        self._tell(FrontDoorStatus(routes.version, self._load.averages(), refused))
        _log.info("New routes are served.", version=routes.version)

    def _refuse(self, routes: Routes, error: ConvergenceError) -> None:
        self._refused = routes
        _log.error(
            "Envoy refuses the new routes; those before stay.", version=routes.version, error=error.message
        )
        self._tell(replace(self._told, refused=error.message))

    def _read_wanted(self) -> None:
        path = self._directory.root / ROUTES_FILE
        try:
            found = path.stat()
        except FileNotFoundError:
            return
        seen = (found.st_mtime_ns, found.st_ino, found.st_size)
        if seen == self._seen:
            return
        self._seen = seen
        self._wanted = None
        try:
            self._wanted = read_valid_routes(self._directory.root)
        except PermanentError as error:
            _log.error("The routes cannot be followed; those before stay.", error=error.message)
            self._tell(replace(self._told, refused=error.message))

    def _last_good(self) -> Routes:
        try:
            return read_valid_routes(self._directory.last_good)
        except PermanentError as error:
            _log.error("The routes before are lost.", error=error.message)
            return Routes()

    # what it tells

    def _tell_load(self, now: datetime) -> None:
        if now - self._times.looked < _LOOK_EVERY:
            return
        self._times.looked = now
        with contextlib.suppress(TransientError):
            self._load.note(self.admin.under_way())
        status = replace(self._told, in_flight=self._load.averages())
        if status != self._told and now - self._times.told > _TELL_EVERY and self._served is not None:
            self._tell(status)

    def _tell(self, status: FrontDoorStatus) -> None:
        self._times.told = self._clock()
        self._told = status
        write_status(self._directory.root, status)

    def _renew_certificates(self, now: datetime, routes: Routes) -> None:
        self._times.certificates = now
        serial = ensure_leaf(self._directory.root, now, (*self._names, *hosts(routes)))
        if serial is not None:
            self._certificate = serial
            _log.info("A certificate was made.")
