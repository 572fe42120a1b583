"""An Envoy that takes nothing, played by a web server that answers as Envoy's administration does."""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import unquote

import pytest

from convergence_orchestration.errors import PermanentError, TransientError
from convergence_orchestration.local_gcp.front_door import rendering
from convergence_orchestration.local_gcp.front_door.admin import EnvoyAdmin, Subscription
from convergence_orchestration.local_gcp.front_door.configuring import Configuration
from convergence_orchestration.local_gcp.front_door.directory import Directory
from convergence_orchestration.local_gcp.front_door_contract import RoutedRevision, RoutedService, Routes

_BEFORE = Routes(1)
_AFTER = Routes(
    2, (RoutedService("platform", "us-central1", "api", (RoutedRevision("api-1", (), 100, 5.0, 1, ()),)),)
)


class _Stubborn(ThreadingHTTPServer):
    """Serves the same versions for ever and refuses one file more at each question."""

    daemon_threads = True
    versions: dict[str, str]
    refusals: int | None = None

    def statistics(self) -> list[dict[str, object]]:
        stats: list[dict[str, object]] = []
        if self.refusals is not None:
            self.refusals += 1
            stats.append({"name": f"{Subscription.ROUTES}.update_rejected", "value": self.refusals})
        stats += [{"name": f"{name}.version_text", "value": text} for name, text in self.versions.items()]
        return stats


class _Answers(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert isinstance(self.server, _Stubborn)
        body: dict[str, object] = {"certificates": [{"cert_chain": [{"serial_number": "ff"}]}]}
        if self.path.startswith("/stats"):
            wanted = "cds" if "cds" in unquote(self.path) else "rds"
            body = {"stats": [one for one in self.server.statistics() if f".{wanted}" in str(one["name"])]}
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 the standard library's name
        pass


@pytest.fixture
def envoy() -> Iterator[_Stubborn]:
    with _Stubborn(("127.0.0.1", 0), _Answers) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def _configuration(envoy: _Stubborn, root: Path) -> tuple[Directory, Configuration]:
    directory = Directory.at(root)
    directory.admin_address.write_text(f"127.0.0.1:{envoy.server_address[1]}")
    admin = EnvoyAdmin(directory.admin_address)
    return directory, Configuration(directory, admin, lambda: "because", patience=0.05)


def _taken(envoy: _Stubborn, clusters: Routes, routes: Routes) -> None:
    envoy.versions = {
        Subscription.CLUSTERS: rendering.clusters(clusters).version,
        Subscription.ROUTES: rendering.route_table(routes).version,
    }


def test_an_envoy_that_does_not_take_the_clusters_is_not_told_the_split(
    envoy: _Stubborn, tmp_path: Path
) -> None:
    directory, configuration = _configuration(envoy, tmp_path)
    _taken(envoy, _BEFORE, _BEFORE)

    with pytest.raises(TransientError, match="takes its new configuration"):
        configuration.change(_BEFORE, _AFTER, None)

    assert directory.clusters.exists()
    assert not directory.routes.exists()


def test_a_refused_split_brings_both_former_files_back(envoy: _Stubborn, tmp_path: Path) -> None:
    directory, configuration = _configuration(envoy, tmp_path)
    _taken(envoy, _AFTER, _BEFORE)
    envoy.refusals = 0

    with pytest.raises(PermanentError, match="Correct what Envoy refuses: because"):
        configuration.change(_BEFORE, _AFTER, None)

    written = json.loads(directory.clusters.read_text()), json.loads(directory.routes.read_text())
    assert written == (rendering.clusters(_BEFORE).document(), rendering.route_table(_BEFORE).document())


def test_a_change_waits_for_its_certificate(envoy: _Stubborn, tmp_path: Path) -> None:
    _, configuration = _configuration(envoy, tmp_path)
    _taken(envoy, _AFTER, _AFTER)
    configuration.change(_BEFORE, _AFTER, 255)
    with pytest.raises(TransientError, match="takes its new certificate"):
        configuration.change(_BEFORE, _AFTER, 256)


def test_an_envoy_that_is_not_there_may_come(tmp_path: Path) -> None:
    admin = EnvoyAdmin(tmp_path / "address")
    assert not admin.is_ready()
    with pytest.raises(TransientError, match="Wait until Envoy answers"):
        admin.reopen_logs()
