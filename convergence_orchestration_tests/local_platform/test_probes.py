import socket
import ssl
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import HTTPServer, SimpleHTTPRequestHandler
from pathlib import Path
from threading import Thread

import grpc
import httpx
import pytest
from grpc_health.v1 import health, health_pb2, health_pb2_grpc  # type: ignore[import-untyped]

from convergence_orchestration.local_gcp.local_ca import (
    Identity,
    ca_path,
    ensure_authority,
    new_authority,
    signed,
)
from convergence_orchestration.local_platform.probes import (
    NotReady,
    Probe,
    api_probe,
    bigquery_probe,
    both,
    code_location_probe,
    daemon_probe,
    grpc_probe,
    http_probe,
    served_api_probe,
    trusting,
)
from convergence_orchestration_tests.emulators import free_port

pytestmark = pytest.mark.anyio

URL = "http://127.0.0.1:9"
NOW = 1_000_000.0
Answer = Callable[[httpx.Request], httpx.Response]


def answering(status: int = 200, body: object = None, text: str | None = None) -> Answer:
    return lambda _request: (
        httpx.Response(status, json=body) if text is None else httpx.Response(status, text=text)
    )


async def ask(probe: Probe, answer: Answer, started: float = NOW - 10) -> str:
    """Why the probe says "not ready", empty if it does not."""
    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
        try:
            await probe(client, started)
        except NotReady as reason:
            return str(reason)
    return ""


def locations(*entries: object) -> object:
    return {"data": {"workspaceOrError": {"__typename": "Workspace", "locationEntries": list(entries)}}}


def a_location(status: str = "LOADED", found: object = None) -> dict[str, object]:
    return {"name": "convergence_orchestration", "loadStatus": status, "locationOrLoadError": found}


def heartbeats(**last: float | None) -> object:
    daemons = [
        {"daemonType": name, "required": name != "OTHER", "lastHeartbeatTime": time}
        for name, time in last.items()
    ]
    return {"data": {"instance": {"daemonHealth": {"allDaemonStatuses": daemons}}}}


@contextmanager
def answering_with_tls(identity: Identity, path: Path) -> Iterator[str]:
    """The address of somebody who answers 200 and shows this certificate."""
    certificate = path / "shown.pem"
    certificate.write_bytes(identity.pem())
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate)
    with HTTPServer(("127.0.0.1", 0), SimpleHTTPRequestHandler) as server:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
        Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        try:
            yield f"https://api.localhost:{server.server_port}"
        finally:
            server.shutdown()


@pytest.mark.parametrize(("status", "reason"), [(200, ""), (503, f"{URL} answered 503")])
async def test_http_is_ready_at_200(status: int, reason: str) -> None:
    assert await ask(http_probe(URL), answering(status)) == reason


async def test_nobody_listening_is_told_with_the_port() -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    assert await ask(http_probe(URL), refuse) == "nothing listens on port 9"


async def test_without_the_authority_nobody_is_trusted_yet(tmp_path: Path) -> None:
    missing = str(tmp_path / "ca.pem")

    assert await ask(served_api_probe(URL, missing), answering(200)) == f"{missing} is not there yet"


async def test_a_service_with_tls_is_asked_by_its_name_and_its_certificate_is_checked(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    ours = signed(ensure_authority(tmp_path, now), ("api.localhost",), now)
    strange = signed(new_authority(now), ("api.localhost",), now)

    with answering_with_tls(ours, tmp_path) as url:
        assert await ask(trusting(str(ca_path(tmp_path)), http_probe(url)), answering(503)) == ""
    with answering_with_tls(strange, tmp_path) as url:
        assert await ask(trusting(str(ca_path(tmp_path)), http_probe(url)), answering(200)) != ""


async def test_a_hanging_service_is_not_ready() -> None:
    def hang(request: httpx.Request) -> httpx.Response:
        raise httpx.ReadTimeout("late", request=request)

    assert await ask(http_probe(URL), hang) == f"no answer from {URL}: ReadTimeout"


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (answering(200, {}), ""),
        (
            answering(503, {"checks": {"dagster": {"reason": "It is down."}, "bigquery": {"reason": None}}}),
            "dagster: It is down.",
        ),
        (answering(503, {"checks": {}}), "/health/ready answered 503"),
        (answering(502, text="proxy"), "/health/ready answered 502"),
    ],
)
async def test_the_api_gives_its_own_reasons(answer: Answer, reason: str) -> None:
    assert await ask(api_probe(URL), answer) == reason


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (locations(a_location(found={"__typename": "RepositoryLocation"})), ""),
        (locations(a_location("LOADING")), "the code location is being loaded"),
        (
            locations(
                a_location(found={"__typename": "PythonError", "message": "Stack:\n  ImportError: no x\n\n"})
            ),
            "the code location does not load: ImportError: no x",
        ),
        (
            locations(a_location(found={"__typename": "PythonError", "message": None})),
            "the code location does not load: no reason given",
        ),
        (locations(), "the code location convergence_orchestration is not in the workspace"),
        (
            locations({**a_location(), "name": "another"}),
            "the code location convergence_orchestration is not in the workspace",
        ),
        (
            {"data": {"workspaceOrError": {"__typename": "PythonError", "message": "bad workspace"}}},
            "bad workspace",
        ),
        ({"errors": [{"message": "no such field"}]}, "GraphQL: no such field"),
    ],
)
async def test_the_web_server_is_ready_with_our_code_loaded(body: object, reason: str) -> None:
    assert await ask(code_location_probe(URL), answering(200, body)) == reason


async def test_a_web_server_that_answers_no_json_is_not_ready() -> None:
    assert await ask(code_location_probe(URL), answering(502, text="Bad gateway")) == "GraphQL answered 502"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (heartbeats(SENSOR=NOW - 5, OTHER=None), ""),
        (heartbeats(SENSOR=NOW - 5, ASSET=None), "no heartbeat of asset"),
        (heartbeats(SENSOR=NOW - 11), "no heartbeat of sensor"),
    ],
)
async def test_the_daemon_is_ready_with_a_heartbeat_since_its_start(body: object, reason: str) -> None:
    assert await ask(daemon_probe(URL, lambda: NOW), answering(200, body)) == reason


async def test_a_daemon_that_fell_silent_is_not_ready() -> None:
    body = heartbeats(SENSOR=NOW - 121)

    assert (
        await ask(daemon_probe(URL, lambda: NOW), answering(200, body), started=0) == "no heartbeat of sensor"
    )


async def test_bigquery_is_asked_once_somebody_listens() -> None:
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path)
        return httpx.Response(200)

    port = free_port()
    probe = bigquery_probe(f"http://127.0.0.1:{port}", "a-project")
    assert await ask(probe, answer) == f"nothing listens on port {port}"
    assert not asked
    with socket.create_server(("127.0.0.1", port)):
        assert await ask(probe, answer) == ""
    assert asked == ["/bigquery/v2/projects/a-project/datasets"]


async def test_both_probes_must_succeed() -> None:
    probe = both(http_probe(f"{URL}/a"), http_probe(f"{URL}/b"))

    assert await ask(probe, lambda _: httpx.Response(200)) == ""
    assert "/b" in await ask(probe, lambda request: httpx.Response(200 if request.url.path == "/a" else 500))


@contextmanager
def grpc_server(*serving: str, with_health: bool = True) -> Iterator[int]:
    server = grpc.server(ThreadPoolExecutor(1))
    if with_health:
        servicer = health.HealthServicer()
        for name in serving:
            servicer.set(name, health_pb2.HealthCheckResponse.SERVING)
        servicer.set("stopped", health_pb2.HealthCheckResponse.NOT_SERVING)
        health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield port
    finally:
        server.stop(None).wait()


async def test_grpc_is_ready_when_its_service_serves() -> None:
    with grpc_server("DagsterApi") as port:
        assert await ask(grpc_probe(port, "DagsterApi"), answering()) == ""
        assert await ask(grpc_probe(port), answering()) == ""
        assert await ask(grpc_probe(port, "stopped"), answering()) == "gRPC does not serve yet"
        assert await ask(grpc_probe(port, "unknown"), answering()) == "gRPC answers NOT_FOUND"


async def test_grpc_without_the_health_protocol_is_ready_when_it_is_spoken() -> None:
    with grpc_server(with_health=False) as port:
        assert await ask(grpc_probe(port), answering()) == ""
        assert await ask(grpc_probe(port, "DagsterApi"), answering()) == "gRPC answers UNIMPLEMENTED"


async def test_what_speaks_no_grpc_is_not_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("convergence_orchestration.local_platform.probes._QUICK_SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        port = mute.getsockname()[1]
        assert await ask(grpc_probe(port), answering()) == f"gRPC is not spoken on port {port}"
