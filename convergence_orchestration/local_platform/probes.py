"""Whether a service can do its work: each is asked for what its users will ask.

What belongs here: one question per service. A probe returns when the service is ready and raises NotReady with the
reason when it is not; how often to ask is the asker's business.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import httpx

from convergence_orchestration.local_platform.dagster_home import LOCATION_NAME
from convergence_orchestration.local_platform.ports import LOOPBACK
from convergence_orchestration.releases.answering import async_client

Probe = Callable[[httpx.AsyncClient, float], Coroutine[Any, Any, None]]
"""Given a client and when the service's process started (seconds since the epoch)."""

HEARTBEAT_TOLERANCE_SECONDS = 120.0
"""The daemon's threads write a heartbeat every 30 s; four missed ones are no accident."""

_QUICK_SECONDS = 5.0
_PATIENT_SECONDS = 90.0  # local-bigquery's first request must be neither cut short nor raced
_GRPC_HEALTH = "/grpc.health.v1.Health/Check"
_SERVING = b"\x08\x01"  # HealthCheckResponse(status=SERVING): not worth importing protobuf for

_DAEMON_QUERY = "{instance{daemonHealth{allDaemonStatuses{daemonType required lastHeartbeatTime}}}}"
_LOCATION_QUERY = """{workspaceOrError{__typename ... on PythonError{message} ... on Workspace{locationEntries{
name loadStatus locationOrLoadError{__typename ... on PythonError{message}}}}}}"""


class NotReady(Exception):  # noqa: N818 a state, not an error
    """The service cannot do its work yet; the text says why."""


def http_probe(url: str) -> Probe:
    """Ready when `url` answers 200."""

    async def ask(client: httpx.AsyncClient, _started: float) -> None:
        await _get(client, url, _QUICK_SECONDS)

    return ask


def api_probe(url: str) -> Probe:
    """Ready when the API says so at /health/ready; otherwise the reasons that it gives."""

    async def ask(client: httpx.AsyncClient, _started: float) -> None:
        response = await _answer(client.get(f"{url}/health/ready", timeout=_QUICK_SECONDS))
        if response.status_code != httpx.codes.OK:
            raise NotReady(_reasons(response))

    return ask


def served_api_probe(url: str, authority_file: str | None = None) -> Probe:
    """Ready when the API lives behind the front door, and says that it is ready.

    Args:
        url: where it is served.
        authority_file: who signed its certificate, if it is asked with TLS.
    """
    probe = both(http_probe(f"{url}/health/live"), api_probe(url))
    return probe if authority_file is None else trusting(authority_file, probe)


def trusting(authority_file: str, probe: Probe) -> Probe:
    """The same probe with a client that trusts this authority and finds `*.localhost`."""

    async def ask(_client: httpx.AsyncClient, started: float) -> None:
        try:
            client = async_client(authority_file)
        except OSError:
            raise NotReady(f"{authority_file} is not there yet") from None
        async with client:
            await probe(client, started)

    return ask


def bigquery_probe(url: str, project: str) -> Probe:
    """Ready when the project's datasets can be listed. One patient request, sent once somebody listens."""

    async def ask(client: httpx.AsyncClient, _started: float) -> None:
        await _connected(httpx.URL(url).port or 80)
        await _get(client, f"{url}/bigquery/v2/projects/{project}/datasets?maxResults=1", _PATIENT_SECONDS)

    return ask


def grpc_probe(port: int, service: str | None = None) -> Probe:
    """Ready when gRPC is spoken on `port`, and its standard health service says SERVING for `service` if one is given."""

    async def ask(_client: httpx.AsyncClient, _started: float) -> None:
        await _connected(port)
        await asyncio.to_thread(_check_grpc, port, service)

    return ask


def code_location_probe(url: str) -> Probe:
    """Ready when the web server's GraphQL answers with our code location loaded."""

    async def ask(client: httpx.AsyncClient, _started: float) -> None:
        workspace = (await graphql(client, url, _LOCATION_QUERY))["workspaceOrError"]
        for entry in workspace.get("locationEntries", []):
            if entry["name"] == LOCATION_NAME:
                return _check_location(entry)
        raise NotReady(
            workspace.get("message") or f"the code location {LOCATION_NAME} is not in the workspace"
        )

    return ask


def daemon_probe(url: str, now: Callable[[], float]) -> Probe:
    """Ready when every daemon has sent a heartbeat since its process started, and not long ago."""

    async def ask(client: httpx.AsyncClient, started: float) -> None:
        instance = (await graphql(client, url, _DAEMON_QUERY))["instance"]
        oldest = max(started, now() - HEARTBEAT_TOLERANCE_SECONDS)
        silent = [
            str(daemon["daemonType"])
            for daemon in instance["daemonHealth"]["allDaemonStatuses"]
            if daemon["required"] and (daemon["lastHeartbeatTime"] or 0) < oldest
        ]
        if silent:
            raise NotReady(f"no heartbeat of {', '.join(sorted(silent)).lower()}")

    return ask


def both(first: Probe, second: Probe) -> Probe:
    """Ready when both are."""

    async def ask(client: httpx.AsyncClient, started: float) -> None:
        await first(client, started)
        await second(client, started)

    return ask


async def graphql(
    client: httpx.AsyncClient, url: str, query: str, variables: dict[str, object] | None = None
) -> dict[str, Any]:
    """What Dagster's web server at `url` answers to a query.

    Raises:
        NotReady: there is no usable answer.
    """
    body = {"query": query, "variables": variables or {}}
    response = await _answer(client.post(f"{url}/graphql", json=body, timeout=_PATIENT_SECONDS))
    try:
        document = response.json()
    except ValueError:
        raise NotReady(f"GraphQL answered {response.status_code}") from None
    if document.get("errors"):
        raise NotReady(f"GraphQL: {document['errors'][0]['message']}")
    answer: dict[str, Any] = document["data"]
    return answer


def _check_location(entry: dict[str, Any]) -> None:
    found = entry["locationOrLoadError"]
    if entry["loadStatus"] != "LOADED" or found is None:
        raise NotReady("the code location is being loaded")
    if found["__typename"] != "RepositoryLocation":
        raise NotReady(f"the code location does not load: {_last_line(found.get('message'))}")


def _check_grpc(port: int, service: str | None) -> None:
    import grpc  # noqa: PLC0415 `convergence --help` need not wait for it

    options = (("grpc.enable_http_proxy", 0),)
    with grpc.insecure_channel(f"{LOOPBACK}:{port}", options=options) as channel:
        try:
            grpc.channel_ready_future(channel).result(timeout=_QUICK_SECONDS)
            answer = channel.unary_unary(_GRPC_HEALTH)(_health_request(service), timeout=_QUICK_SECONDS)
        except grpc.FutureTimeoutError:
            raise NotReady(f"gRPC is not spoken on port {port}") from None
        except grpc.RpcError as error:
            if service is None:
                return  # there was an answer; not every service offers the health protocol
            raise NotReady(f"gRPC answers {error.code().name}") from None
    if answer != _SERVING:
        raise NotReady("gRPC does not serve yet")


def _health_request(service: str | None) -> bytes:
    """HealthCheckRequest(service=...) in protobuf's wire format; names here are shorter than 128 bytes."""
    return b"\x0a" + bytes([len(service)]) + service.encode() if service else b""


async def _connected(port: int) -> None:
    """Return if somebody listens on `port` of this machine; says nothing to them."""
    try:
        _, writer = await asyncio.wait_for(asyncio.open_connection(LOOPBACK, port), _QUICK_SECONDS)
    except (OSError, TimeoutError):
        raise NotReady(f"nothing listens on port {port}") from None
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


async def _get(client: httpx.AsyncClient, url: str, seconds: float) -> None:
    response = await _answer(client.get(url, timeout=seconds))
    if response.status_code != httpx.codes.OK:
        raise NotReady(f"{url} answered {response.status_code}")


async def _answer(call: Awaitable[httpx.Response]) -> httpx.Response:
    try:
        return await call
    except httpx.ConnectError as error:
        raise NotReady(f"nothing listens on port {error.request.url.port}") from None
    except httpx.HTTPError as error:
        raise NotReady(f"no answer from {error.request.url}: {type(error).__name__}") from None


def _reasons(response: httpx.Response) -> str:
    """The API's own words about what it misses."""
    with contextlib.suppress(ValueError, AttributeError):
        checks = response.json()["checks"].items()
        missing = [f"{name}: {check['reason']}" for name, check in checks if check.get("reason")]
        if missing:
            return "; ".join(missing)
    return f"/health/ready answered {response.status_code}"


def _last_line(text: str | None) -> str:
    lines = [line.strip() for line in (text or "").splitlines() if line.strip()]
    return lines[-1] if lines else "no reason given"
