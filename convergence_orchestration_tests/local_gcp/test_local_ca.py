import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from convergence_orchestration.local_gcp.local_ca import (
    LOCAL_NAMES,
    Identity,
    ca_path,
    ensure_authority,
    ensure_leaf,
    expired,
    leaf_path,
    new_authority,
    self_signed,
    signed,
)

_NOW = datetime.now(UTC).replace(microsecond=0)  # OpenSSL verifies by the machine's clock
_NAMES = (*LOCAL_NAMES, "api.localhost", "blue---api.localhost")


def _handshake(trusted: Path, server: Identity, directory: Path, name: str = "api.localhost") -> None:
    """A whole TLS handshake without a socket.

    Raises:
        ssl.SSLCertVerificationError: the client does not trust the server.
    """
    chain = directory / "server.pem"
    chain.write_bytes(server.pem())
    answering = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    answering.load_cert_chain(chain)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    here = ssl.create_default_context(cafile=str(trusted)).wrap_bio(
        to_client, to_server, server_hostname=name
    )
    there = answering.wrap_bio(to_server, to_client, server_side=True)
    for side in (here, there, here, there):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue


def test_the_authority_is_made_once_and_its_key_is_the_owners_alone(tmp_path: Path) -> None:
    first = ensure_authority(tmp_path, _NOW)

    assert ensure_authority(tmp_path, _NOW).certificate == first.certificate
    assert (tmp_path / "ca" / "authority.pem").stat().st_mode & 0o777 == 0o600
    assert b"PRIVATE" not in ca_path(tmp_path).read_bytes()


def test_a_lost_certificate_is_written_again_and_a_damaged_authority_replaced(tmp_path: Path) -> None:
    first = ensure_authority(tmp_path, _NOW)
    ca_path(tmp_path).unlink()
    ensure_authority(tmp_path, _NOW)
    assert ca_path(tmp_path).read_bytes() == first.certificate_pem()

    (tmp_path / "ca" / "authority.pem").write_bytes(new_authority(_NOW).pem()[:100])
    assert ensure_authority(tmp_path, _NOW).certificate != first.certificate

    key = new_authority(_NOW).pem().split(b"-----BEGIN CERT")[0]
    (tmp_path / "ca" / "authority.pem").write_bytes(key + first.certificate_pem())  # another's key
    assert ensure_authority(tmp_path, _NOW).certificate != first.certificate


@pytest.mark.parametrize("name", ["localhost", "api.localhost", "blue---api.localhost", "127.0.0.1"])
def test_a_client_that_trusts_the_authority_trusts_the_leaf(tmp_path: Path, name: str) -> None:
    authority = ensure_authority(tmp_path, _NOW)
    _handshake(ca_path(tmp_path), signed(authority, _NAMES, _NOW), tmp_path, name)


def test_a_name_that_was_not_given_is_not_trusted(tmp_path: Path) -> None:
    authority = ensure_authority(tmp_path, _NOW)
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        _handshake(ca_path(tmp_path), signed(authority, _NAMES, _NOW), tmp_path, "example.org")


def test_expired_and_self_signed_certificates_are_noticed(tmp_path: Path) -> None:
    authority = ensure_authority(tmp_path, _NOW)
    with pytest.raises(ssl.SSLCertVerificationError, match="certificate has expired"):
        _handshake(ca_path(tmp_path), expired(authority, _NAMES, _NOW), tmp_path)
    with pytest.raises(ssl.SSLCertVerificationError, match="self-signed certificate"):
        _handshake(ca_path(tmp_path), self_signed(_NAMES, _NOW), tmp_path)


def test_the_leaf_is_renewed_when_less_than_thirty_days_are_left(tmp_path: Path) -> None:
    assert ensure_leaf(tmp_path, _NOW)
    assert not ensure_leaf(tmp_path, _NOW + timedelta(days=60))
    assert ensure_leaf(tmp_path, _NOW + timedelta(days=60, seconds=2))
    assert leaf_path(tmp_path).stat().st_mode & 0o777 == 0o600


def test_other_names_and_another_authority_need_another_leaf(tmp_path: Path) -> None:
    ensure_leaf(tmp_path, _NOW)
    assert ensure_leaf(tmp_path, _NOW, (*LOCAL_NAMES, "platform.test"))
    assert not ensure_leaf(tmp_path, _NOW)  # it has more names than needed
    found = x509.load_pem_x509_certificate(leaf_path(tmp_path).read_bytes())
    names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert "platform.test" in names.get_values_for_type(x509.DNSName)

    (tmp_path / "ca" / "authority.pem").unlink()
    assert ensure_leaf(tmp_path, _NOW, (*LOCAL_NAMES, "platform.test"))
