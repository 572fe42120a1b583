"""Kubernetes' API as far as a run launcher uses it: jobs are made, looked at and deleted. Nothing is executed.

The client is Kubernetes' own, to which `kubeconfig` names this server.
"""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, override

import yaml


class Cluster(ThreadingHTTPServer):
    """The server; `jobs` are the jobs by name as they were asked for, `statuses` what it says of them."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.jobs: dict[str, dict[str, Any]] = {}
        self.statuses: dict[str, dict[str, Any]] = {}

    def kubeconfig(self, path: Path) -> Path:
        """Write the file by which clients find this server."""
        server = {"name": "c", "cluster": {"server": f"http://127.0.0.1:{self.server_port}"}}
        context = {"name": "c", "context": {"cluster": "c", "user": "u", "namespace": "dagster"}}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "c",
            "clusters": [server],
            "contexts": [context],
            "users": [{"name": "u", "user": {}}],
        }
        path.write_text(yaml.safe_dump(config))
        return path


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Cluster

    def do_POST(self) -> None:
        job = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.jobs[job["metadata"]["name"]] = job
        self._answer(job, 201)

    def do_GET(self) -> None:
        name = self.path.partition("/jobs/")[2].partition("/")[0]
        job = self.server.jobs.get(name)
        if job is None:
            self._answer({"kind": "Status", "code": 404}, 404)
        else:
            self._answer({**job, "status": self.server.statuses.get(name, {"active": 1})})

    def do_DELETE(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.jobs.pop(self.path.partition("/jobs/")[2].partition("?")[0], None)
        self._answer({"kind": "Status", "status": "Success"})

    @override
    def log_message(self, format: str, *args: Any) -> None:
        del format, args

    def _answer(self, body: dict[str, Any], status: int = 200) -> None:
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)


@contextmanager
def serving_cluster() -> Iterator[Cluster]:
    """The server, until the block is left."""
    with Cluster() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server
        finally:
            server.shutdown()
