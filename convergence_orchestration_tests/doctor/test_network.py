import http.server
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import formatdate
from typing import Any

import pytest

from convergence_orchestration.doctor.model import Patient, State
from convergence_orchestration.doctor.network import Reach, Seen, clocks, look, reachability
from convergence_orchestration.gcp.addresses import Address, addresses_of
from convergence_orchestration.settings import load_settings

GOOGLES = Patient(load_settings(_env_file=None, gcp_project_id="a-project"), " --google-cloud")
LOCAL = Patient(load_settings(_env_file=None), " --data-dir x")
NOW = 1_800_000_000.0


def an_address(
    port: int, *, is_emulator: bool = True, speaks_http: bool = True, host: str = "127.0.0.1"
) -> Address:
    return Address("Cloud KMS", "cloudkms.googleapis.com", host, port, is_emulator, speaks_http)


def seen_as(reach: Reach, detail: str = "", ahead: float | None = None, **address: Any) -> Seen:
    return Seen(an_address(443, **address), reach, 0.01, detail, ahead)


@contextmanager
def a_server(date: float | None, *, is_broken: bool = False) -> Iterator[int]:
    """An HTTP server whose clock stands at `date`."""

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            if is_broken:
                return
            self.send_response_only(404)
            if date is not None:
                self.send_header("Date", formatdate(date, usegmt=True))
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield int(server.server_address[1])
        finally:
            server.shutdown()
            thread.join()


def test_a_host_that_answers_tells_its_time() -> None:
    with a_server(NOW) as port:
        seen = look(an_address(port), clock=lambda: NOW)

    assert seen.answers
    assert seen.ahead_seconds == pytest.approx(0.5, abs=0.5)
    assert reachability(seen, LOCAL).state is State.OK
    assert [finding.state for finding in clocks((seen,))] == [State.OK]


@pytest.mark.parametrize(("skew", "words"), [(-400, "400 s ahead of it"), (400, "400 s behind it")])
def test_a_clock_that_is_apart_is_a_problem_with_its_cure(skew: float, words: str) -> None:
    with a_server(NOW + skew) as port:
        (finding,) = clocks((look(an_address(port), clock=lambda: NOW),))

    assert finding.state is State.PROBLEM
    assert words in finding.cause
    assert finding.cure == "sudo timedatectl set-ntp true"


def test_without_any_time_the_clock_is_unknown_and_not_right() -> None:
    with a_server(None) as port:
        seen = look(an_address(port))

    assert seen.answers
    assert [finding.state for finding in clocks((seen,))] == [State.UNKNOWN]


def test_nobody_listening_is_refused_and_the_platform_is_to_be_started() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    for speaks_http in (True, False):
        seen = look(an_address(port, speaks_http=speaks_http))

        assert seen.reach is Reach.REFUSED
        finding = reachability(seen, LOCAL)
        assert (finding.state, finding.cure) == (State.PROBLEM, "convergence up --data-dir x")


def test_who_hangs_up_is_broken_and_who_speaks_no_tls_is_untrusted() -> None:
    with a_server(NOW, is_broken=True) as port:
        assert look(an_address(port)).reach is Reach.BROKEN
        assert look(an_address(port, is_emulator=False)).reach is Reach.UNTRUSTED


def test_a_host_that_is_not_there_is_said_so() -> None:
    seen = look(an_address(443, is_emulator=False, host="cloudkms.invalid"))

    assert seen.reach is Reach.NO_SUCH_HOST
    assert reachability(seen, GOOGLES).cure.startswith("getent hosts cloudkms.invalid")


@pytest.mark.parametrize(
    ("reach", "cure"),
    [
        (Reach.SILENT, "--enable-private-ip-google-access"),
        (Reach.REFUSED, "--project=a-project --region=us-central1"),
        (Reach.UNTRUSTED, "update-ca-certificates"),
        (Reach.BROKEN, "curl -sv https://"),
    ],
)
def test_googles_hosts_have_cures_of_their_own(reach: Reach, cure: str) -> None:
    finding = reachability(seen_as(reach, "why", is_emulator=False), GOOGLES)

    assert finding.state is State.PROBLEM
    assert cure in finding.cure


def test_a_timeout_is_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> None:
        raise TimeoutError

    monkeypatch.setattr(socket, "create_connection", never)

    assert look(an_address(443, speaks_http=False)).reach is Reach.SILENT


def test_every_service_of_the_settings_has_an_address() -> None:
    googles = addresses_of(GOOGLES.settings)
    local = addresses_of(
        load_settings(
            _env_file=None, kms_emulator_host="localhost:8003", bigquery_emulator_host="http://127.0.0.1:8002"
        )
    )

    assert {each.text for each in googles} >= {"cloudkms.googleapis.com:443", "bigquery.googleapis.com:443"}
    assert {each.text for each in local if each.is_emulator} == {"localhost:8003", "127.0.0.1:8002"}
    assert [each.speaks_http for each in local[:2]] == [True, False]
    assert ssl.OPENSSL_VERSION
