"""Where the front door keeps what.

What belongs here: paths in the data directory, and writing a file at one stroke.
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path

DATABASE = "front_door.sqlite3"


@dataclass(frozen=True)
class Directory:
    """The data directory as the front door sees it; its own files are in `front_door/`."""

    root: Path

    @classmethod
    def at(cls, root: Path) -> "Directory":
        """The absolute directory, with what the front door needs in it made."""
        directory = cls(root.resolve())
        directory.last_good.mkdir(parents=True, exist_ok=True)
        return directory

    @property
    def own(self) -> Path:
        """What only the front door and Envoy read."""
        return self.root / "front_door"

    @property
    def bootstrap(self) -> Path:
        """Envoy's first configuration: ports, TLS, the access log, and where the rest is."""
        return self.own / "envoy.json"

    @property
    def clusters(self) -> Path:
        """Envoy's clusters (CDS): one for each revision."""
        return self.own / "cds.json"

    @property
    def routes(self) -> Path:
        """Envoy's routes (RDS): which host goes to which revision."""
        return self.own / "rds.json"

    @property
    def secrets(self) -> Path:
        """Envoy's certificates (SDS), by name of their file."""
        return self.own / "sds.json"

    @property
    def last_good(self) -> Path:
        """The directory with the routes that Envoy took last."""
        return self.own / "last_good"

    @property
    def envoy_record(self) -> Path:
        """Which process Envoy is."""
        return self.own / "envoy.pid.json"

    @property
    def admin_address(self) -> Path:
        """Where Envoy's own administration listens, written by Envoy."""
        return self.own / "admin_address"

    @property
    def envoy_log(self) -> Path:
        """What Envoy says about itself."""
        return self.own / "envoy.log"

    @property
    def lock(self) -> Path:
        """Held by the one process that may change anything here."""
        return self.own / "lock"

    @property
    def access_log(self) -> Path:
        """One JSON object a line for each request."""
        return self.root / "access.log"

    @property
    def database(self) -> Path:
        """The counted requests."""
        return self.root / DATABASE


def write_json(path: Path, content: object) -> None:
    """Put a document in place of the one before; whoever watches sees one change, of all of it."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    unfinished.write_text(json.dumps(content, indent=1), encoding="utf-8")
    unfinished.replace(path)
