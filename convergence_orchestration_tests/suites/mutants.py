"""Mutants: a running API seen through a proxy that spoils one thing, so that each test of a suite can be seen to fail.

What belongs here: the proxy and what a mutation may change. Which mutant is for which test is said beside the tests.
"""

import socket
import threading
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from convergence_orchestration.local_gcp.local_ca import new_authority, signed

HOST = "convergence-api.localhost"
_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
_HOP_BY_HOP = {
    "content-length",
    "transfer-encoding",
    "connection",
    "content-encoding",
    "host",
    "accept-encoding",
}
_PATIENCE = 120


@dataclass(frozen=True)
class Asked:
    """A request on its way."""

    method: str
    path: str
    headers: Mapping[str, str]

    def has(self, header: str) -> bool:
        return header.lower() in self.headers


@dataclass(frozen=True)
class Answered:
    """Its answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def without(self, header: str) -> "Answered":
        kept = {name: value for name, value in self.headers.items() if name.lower() != header.lower()}
        return replace(self, headers=kept)

    def saying(self, old: str, new: str) -> "Answered":
        assert old.encode() in self.body, (old, self.body[:300])
        return replace(self, body=self.body.replace(old.encode(), new.encode()))


Mutation = Callable[[Asked, Answered], Answered]
Swallows = Callable[[Asked], Answered | None]
"""An answer that is given without asking the API; None: it is asked."""


@dataclass(frozen=True)
class Mutant:
    """What is spoilt: answers on their way back, requests that never arrive, the certificate's last day."""

    answers: Mutation = lambda _, answered: answered
    swallows: Swallows = lambda _: None
    certificate_days: int = 90


@contextmanager
def running(api_url: str, mutant: Mutant, directory: Path | None) -> Iterator[str]:
    """The mutant's address; HTTPS if there is a directory for its authority (`authority_in`)."""
    with (
        httpx.Client(timeout=_PATIENCE, trust_env=False) as http,
        socket.create_server(("127.0.0.1", 0)) as listener,
    ):
        app = Starlette(routes=[Route("/{path:path}", _through(http, api_url, mutant), methods=_METHODS)])
        leaf = _leaf(mutant, directory) if directory else None
        config = uvicorn.Config(app, log_config=None, access_log=False, ssl_keyfile=leaf, ssl_certfile=leaf)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            while not server.started:
                assert thread.is_alive()
                time.sleep(0.01)
            port = listener.getsockname()[1]
            yield f"https://{HOST}:{port}" if directory else f"http://127.0.0.1:{port}"
        finally:
            server.should_exit = True
            thread.join()


def authority_in(directory: Path) -> Path:
    """The file of the authority that clients of a mutant are told to trust."""
    return directory / "ca.pem"


def _leaf(mutant: Mutant, directory: Path) -> str:
    """The file of the mutant's certificate and its key."""
    now = datetime.now(UTC)
    authority = new_authority(now)
    authority_in(directory).write_bytes(authority.certificate_pem())
    leaf = directory / "leaf.pem"
    leaf.write_bytes(signed(authority, (HOST,), now, timedelta(days=mutant.certificate_days)).pem())
    return str(leaf)


def _through(
    http: httpx.Client, api_url: str, mutant: Mutant
) -> Callable[[Request], Coroutine[None, None, Response]]:
    async def answer(request: Request) -> Response:
        asked = Asked(request.method, request.url.path, {**request.headers})
        body = await request.body()
        spoilt = await run_in_threadpool(
            _spoilt, asked, lambda: _forwarded(http, api_url, request, body), mutant
        )
        return Response(spoilt.body, spoilt.status, dict(spoilt.headers))

    return answer


def _spoilt(asked: Asked, forward: Callable[[], Answered], mutant: Mutant) -> Answered:
    return mutant.answers(asked, mutant.swallows(asked) or forward())


def _forwarded(http: httpx.Client, api_url: str, request: Request, body: bytes) -> Answered:
    path = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    headers = {name: value for name, value in request.headers.items() if name not in _HOP_BY_HOP}
    answer = http.request(request.method, api_url + path, headers=headers, content=body)
    kept = {name: value for name, value in answer.headers.items() if name not in _HOP_BY_HOP}
    return Answered(answer.status_code, kept, answer.content)
