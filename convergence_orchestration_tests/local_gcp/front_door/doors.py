"""A real front door over instances that are threads of the test: built, asked, watched under load."""

import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import psutil

from convergence_orchestration.local_gcp.front_door.admin import EnvoyAdmin
from convergence_orchestration.local_gcp.front_door_contract import (
    FrontDoorStatus,
    RoutedInstance,
    RoutedRevision,
    RoutedService,
    Routes,
    read_status,
    write_routes,
)
from convergence_orchestration_tests.emulators import free_port, stop

PROJECT = "platform"
LOCATION = "us-central1"
_PATIENCE_SECONDS = 30


class _Answers(BaseHTTPRequestHandler):
    """Answers with the instance's name; `/status/418` with that status, `/wait/0.2` after so many seconds."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        server = self.server
        assert isinstance(server, Instance)
        server.headers_seen.append(dict(self.headers))
        kind, _, value = self.path.partition("?")[0].removeprefix("/").partition("/")
        if kind == "wait":
            time.sleep(float(value))
        if kind == "hold":
            server.held.release()
            server.release.wait(_PATIENCE_SECONDS)
        content = server.name.encode()
        self.send_response(int(value) if kind == "status" else 200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 the standard library's name
        pass


class Instance(ThreadingHTTPServer):
    """One instance of a revision, which answers with its name."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self, name: str) -> None:
        super().__init__(("127.0.0.1", 0), _Answers)
        self.name = name
        self.headers_seen: list[dict[str, str]] = []
        self.held = threading.Semaphore(0)
        self.release = threading.Event()
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def routed(self) -> RoutedInstance:
        return RoutedInstance("127.0.0.1", int(self.server_address[1]))


def revision(name: str, *instances: Instance, percent: int = 0, **fields: object) -> RoutedRevision:
    known: dict[str, object] = {"tags": (), "timeout_seconds": 10.0, "max_concurrency": 80, **fields}
    return RoutedRevision(
        name=name,
        percent=percent,
        instances=tuple(instance.routed for instance in instances),
        **known,  # type: ignore[arg-type]
    )


def service(*revisions: RoutedRevision, name: str = "api") -> RoutedService:
    return RoutedService(PROJECT, LOCATION, name, revisions)


@dataclass
class Door:
    """A running front door on a directory."""

    data_dir: Path
    http_port: int
    https_port: int
    process: "subprocess.Popen[bytes]"
    options: tuple[str, ...] = ()
    version: int = 0
    seconds_to_serve: list[float] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http_port}"

    @property
    def admin(self) -> EnvoyAdmin:
        return EnvoyAdmin(self.data_dir / "front_door" / "admin_address")

    @property
    def log(self) -> str:
        return (self.data_dir / "process.log").read_text()

    @property
    def envoy(self) -> psutil.Process:
        (found,) = self.envoys()
        return found

    def envoys(self) -> list[psutil.Process]:
        """Every living Envoy of this directory."""
        mine = str((self.data_dir / "front_door" / "envoy.json").resolve())
        return [
            process for process in psutil.process_iter(["cmdline"]) if mine in (process.info["cmdline"] or ())
        ]

    def ask_for(self, *services: RoutedService) -> Routes:
        self.version = max(self.version, read_status(self.data_dir).version) + 1
        routes = Routes(self.version, services)
        write_routes(self.data_dir, routes)
        return routes

    def serve(self, *services: RoutedService) -> FrontDoorStatus:
        """Ask for these services and wait until the front door says that it serves them."""
        begin = time.perf_counter()
        routes = self.ask_for(*services)
        status = self.wait_for(lambda status: status.version == routes.version)
        self.seconds_to_serve.append(time.perf_counter() - begin)
        return status

    def wait_for(
        self, condition: Callable[[FrontDoorStatus], object], patience: float = _PATIENCE_SECONDS
    ) -> FrontDoorStatus:
        def look() -> FrontDoorStatus | None:
            status = read_status(self.data_dir)
            return status if condition(status) else None

        return eventually(look, patience)

    def get(self, path: str = "/", host: str = "api.localhost") -> httpx.Response:
        with httpx.Client() as client:
            return client.get(self.url + path, headers={"Host": host}, timeout=20)


def eventually[T](look: Callable[[], T | None], patience: float = _PATIENCE_SECONDS) -> T:
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(0.005)
    raise AssertionError("It never became true.")


def start(door: Door) -> None:
    """Start the front door's process on a directory where none runs."""
    command = [sys.executable, "-m", "convergence_orchestration.local_gcp.front_door"]
    command += ["--data-dir", str(door.data_dir), "--http-port", str(door.http_port)]
    with (door.data_dir / "process.log").open("ab") as output:
        door.process = subprocess.Popen(
            [*command, "--https-port", str(door.https_port), *door.options], stdout=output, stderr=output
        )


@contextmanager
def running_door(data_dir: Path, *options: str) -> Iterator[Door]:
    data_dir.mkdir(parents=True, exist_ok=True)
    door = Door(data_dir, free_port(), free_port(), None, options)  # type: ignore[arg-type]
    start(door)
    try:
        eventually(lambda: door.process.poll() is not None or (data_dir / "front_door_status.json").exists())
        assert door.process.poll() is None, door.log
        yield door
    finally:
        stop(door.process)


@dataclass
class Load:
    """What requests, one after the other from a few threads, were answered with."""

    answers: Counter[str] = field(default_factory=Counter)
    failures: list[tuple[float, str]] = field(default_factory=list)
    stopping: threading.Event = field(default_factory=threading.Event)

    def outage(self) -> float:
        """Seconds from the first failed request to the last."""
        times = [at for at, _ in self.failures]
        return max(times) - min(times) if times else 0.0


@contextmanager
def load_on(door: Door, path: str = "/", threads: int = 2, pause: float = 0.004) -> Iterator[Load]:
    """Requests from a few threads until the end of the block."""
    load = Load()
    workers = [threading.Thread(target=_ask, args=(door, path, load, pause)) for _ in range(threads)]
    for worker in workers:
        worker.start()
    try:
        yield load
    finally:
        load.stopping.set()
        for worker in workers:
            worker.join()


def _ask(door: Door, path: str, load: Load, pause: float) -> None:
    with httpx.Client(headers={"Host": "api.localhost"}, timeout=20) as client:
        while not load.stopping.is_set():
            try:
                answer = client.get(door.url + path)
            except httpx.TransportError as error:
                load.failures.append((time.monotonic(), type(error).__name__))
            else:
                load.answers[answer.text] += 1
                if answer.status_code != httpx.codes.OK:
                    load.failures.append((time.monotonic(), str(answer.status_code)))
            time.sleep(pause)
