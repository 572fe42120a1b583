import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Thread

import pytest

from convergence_orchestration.health.model import Measure, ProbeStatus
from convergence_orchestration.health.probes.looking import Finding
from convergence_orchestration.health.probes.tls import certificate
from convergence_orchestration.local_gcp.local_ca import Identity, new_authority, signed
from convergence_orchestration_tests.emulators import free_port

HOST = "api.localhost"
DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def authority() -> Identity:
    return new_authority(datetime.now(UTC))


@pytest.fixture
def trusted(authority: Identity, tmp_path: Path) -> str:
    path = tmp_path / "ca.pem"
    path.write_bytes(authority.certificate_pem())
    return str(path)


@contextmanager
def serving(identity: Identity, directory: Path) -> Iterator[str]:
    """Somebody who answers handshakes with this certificate; its address."""
    path = directory / "leaf.pem"
    path.write_bytes(identity.pem())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        Thread(target=_shake_hands, args=(listener, context), daemon=True).start()
        yield f"https://{HOST}:{listener.getsockname()[1]}"


def _shake_hands(listener: socket.socket, context: ssl.SSLContext) -> None:
    with suppress(OSError):  # closed at the end of the test
        while True:
            connection, _ = listener.accept()
            with connection, suppress(OSError), context.wrap_socket(connection, server_side=True) as secured:
                secured.recv(1)


def found(identity: Identity, directory: Path, trusted: str) -> Finding:
    with serving(identity, directory) as uri:
        (finding,) = certificate(uri, trusted, datetime.now(UTC))
    return finding


def test_a_valid_certificate_is_healthy_and_has_its_days(
    authority: Identity, tmp_path: Path, trusted: str
) -> None:
    finding = found(signed(authority, (HOST,), datetime.now(UTC), 90 * DAY), tmp_path, trusted)
    assert (finding.status, finding.message) == (ProbeStatus.HEALTHY, "")
    assert finding.measured[Measure.DAYS_LEFT] == pytest.approx(90, abs=0.1)


def test_one_with_few_days_left_is_to_be_renewed(authority: Identity, tmp_path: Path, trusted: str) -> None:
    finding = found(signed(authority, (HOST,), datetime.now(UTC), 13 * DAY), tmp_path, trusted)
    assert finding.status is ProbeStatus.HEALTHY
    assert finding.message == "Renew the certificate: 13.0 days are left."


def test_an_expired_one_is_named_so(authority: Identity, tmp_path: Path, trusted: str) -> None:
    finding = found(signed(authority, (HOST,), datetime.now(UTC) - 10 * DAY, 3 * DAY), tmp_path, trusted)
    assert (finding.status, finding.message) == (
        ProbeStatus.UNHEALTHY,
        f"The certificate of {HOST} has expired.",
    )
    assert finding.measured[Measure.DAYS_LEFT] == pytest.approx(-7, abs=0.1)


def test_one_that_is_not_valid_yet_says_to_compare_the_clocks(
    authority: Identity, tmp_path: Path, trusted: str
) -> None:
    finding = found(signed(authority, (HOST,), datetime.now(UTC) + 2 * DAY), tmp_path, trusted)
    assert finding.status is ProbeStatus.UNHEALTHY
    assert finding.message.endswith("is not valid yet; compare the clocks.")


def test_a_self_signed_one_is_named_so(tmp_path: Path, trusted: str) -> None:
    finding = found(new_authority(datetime.now(UTC)), tmp_path, trusted)
    assert finding.status is ProbeStatus.UNHEALTHY
    assert "is self-signed" in finding.message


def test_one_for_another_host_is_named_so(authority: Identity, tmp_path: Path, trusted: str) -> None:
    finding = found(signed(authority, ("other.localhost",), datetime.now(UTC)), tmp_path, trusted)
    assert (finding.status, finding.message) == (
        ProbeStatus.UNHEALTHY,
        f"The certificate of {HOST} is for other hosts.",
    )


def test_one_of_an_unknown_authority_is_named_so(tmp_path: Path, trusted: str) -> None:
    other = new_authority(datetime.now(UTC))
    finding = found(signed(other, (HOST,), datetime.now(UTC)), tmp_path, trusted)
    assert finding.status is ProbeStatus.UNHEALTHY
    assert "from an authority" in finding.message


def test_where_nobody_listens_nothing_is_known(trusted: str) -> None:
    (finding,) = certificate(f"https://{HOST}:{free_port()}", trusted, datetime.now(UTC))
    assert finding.status is ProbeStatus.UNKNOWN


def test_who_speaks_no_tls_has_no_certificate_that_is_known(trusted: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.sendall(b"SSH-2.0-OpenSSH\r\n")

        Thread(target=answer, daemon=True).start()
        uri = f"https://{HOST}:{listener.getsockname()[1]}"
        (finding,) = certificate(uri, trusted, datetime.now(UTC))
    assert finding.status is ProbeStatus.UNKNOWN


@pytest.mark.parametrize("uri", ["http://api.example", "https://", "https://api.example:port", "api"])
def test_an_address_without_tls_is_unhealthy(uri: str) -> None:
    (finding,) = certificate(uri, None, datetime.now(UTC))
    assert finding.status is ProbeStatus.UNHEALTHY
