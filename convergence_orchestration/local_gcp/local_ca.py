"""Certificates of this machine alone: an authority made once, and what it signs.

What belongs here: making, keeping and renewing them. Who listens with them is the front door's business. The authority's
certificate (`DATA_DIR/ca/ca.pem`) is what a client is told to trust; it is good for nothing elsewhere.
"""

import ipaddress
import os
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

LOCAL_NAMES = ("*.localhost", "localhost", "127.0.0.1")
"""What every certificate is for. OpenSSL takes no wildcard right below a top-level name, so hosts are also listed one by one."""
RENEW_BEFORE = timedelta(days=30)
_AUTHORITY_LIFE = timedelta(days=3650)
_LEAF_LIFE = timedelta(days=90)
_CLOCK_SKEW = timedelta(hours=1)
_SIGNING = x509.KeyUsage(
    digital_signature=True,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=False,
    crl_sign=False,
    encipher_only=False,
    decipher_only=False,
)
_CERTIFYING = x509.KeyUsage(
    digital_signature=True,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=True,
    encipher_only=False,
    decipher_only=False,
)


@dataclass(frozen=True)
class Identity:
    """A certificate with its private key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    def pem(self) -> bytes:
        """Key and certificate, as a server reads them from one file."""
        return self._key_pem() + self.certificate_pem()

    def certificate_pem(self) -> bytes:
        """The certificate alone, which is no secret."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def _key_pem(self) -> bytes:
        return self.key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )


def ca_path(data_dir: Path) -> Path:
    """The certificate that clients of this data directory's front door are told to trust."""
    return data_dir / "ca" / "ca.pem"


def leaf_path(data_dir: Path) -> Path:
    """The front door's own key and certificate, in one file, so that a renewal is one rename."""
    return data_dir / "ca" / "leaf.pem"


def ensure_authority(data_dir: Path, now: datetime) -> Identity:
    """The directory's authority, made if there is none or its file is damaged: then nobody trusts the new one yet."""
    kept = data_dir / "ca" / "authority.pem"
    authority = _read(kept)
    if authority is None:
        authority = new_authority(now)
        _write(kept, authority.pem())
    if not _holds(ca_path(data_dir), authority.certificate_pem()):
        _write(ca_path(data_dir), authority.certificate_pem())
    return authority


def ensure_leaf(data_dir: Path, now: datetime, names: tuple[str, ...] = LOCAL_NAMES) -> int | None:
    """Have a certificate for these names that is good for 30 days at least; its serial number if it was made anew."""
    authority = ensure_authority(data_dir, now)
    kept = _read(leaf_path(data_dir))
    if kept is not None and _is_good(kept.certificate, authority, now, names):
        return None
    leaf = signed(authority, names, now)
    _write(leaf_path(data_dir), leaf.pem())
    return leaf.certificate.serial_number


def new_authority(now: datetime) -> Identity:
    """An authority for ten years, under which nothing but servers' certificates can be made."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = _named("Convergence Orchestration, this machine only")
    builder = _builder(key, name, name, now - _CLOCK_SKEW, now + _AUTHORITY_LIFE)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_CERTIFYING, critical=True)
    return Identity(builder.sign(key, hashes.SHA256()), key)


def signed(
    authority: Identity, names: tuple[str, ...], now: datetime, life: timedelta = _LEAF_LIFE
) -> Identity:
    """A server's certificate from the authority, good from an hour before `now` for `life`."""
    key = ec.generate_private_key(ec.SECP256R1())
    issuer = authority.certificate.subject
    builder = _builder(key, _named(names[0]), issuer, now - _CLOCK_SKEW, now + life)
    return Identity(_for_server(builder, names, authority.key).sign(authority.key, hashes.SHA256()), key)


def expired(authority: Identity, names: tuple[str, ...], now: datetime) -> Identity:
    """A server's certificate that ended yesterday, for whoever must notice such."""
    return signed(authority, names, now - timedelta(days=2), timedelta(days=1))


def self_signed(names: tuple[str, ...], now: datetime) -> Identity:
    """A server's certificate that no authority vouches for."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = _named(names[0])
    builder = _builder(key, name, name, now - _CLOCK_SKEW, now + _LEAF_LIFE)
    return Identity(_for_server(builder, names, key).sign(key, hashes.SHA256()), key)


def _builder(
    key: ec.EllipticCurvePrivateKey, subject: x509.Name, issuer: x509.Name, start: datetime, end: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(end)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _for_server(
    builder: x509.CertificateBuilder, names: tuple[str, ...], issuer: ec.EllipticCurvePrivateKey
) -> x509.CertificateBuilder:
    # Python 3.13 verifies strictly: without the authority's key identifier it refuses a certificate.
    issuer_id = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.public_key())
    return (
        builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_SIGNING, critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(issuer_id, critical=False)
        .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False)
    )


def _named(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _is_good(leaf: x509.Certificate, authority: Identity, now: datetime, names: tuple[str, ...]) -> bool:
    try:
        leaf.verify_directly_issued_by(authority.certificate)
    except Exception:  # noqa: BLE001 whatever is wrong with it, a new one is right
        return False
    found = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    has_names = {_general_name(name) for name in names} <= set(found)
    return has_names and leaf.not_valid_after_utc - now >= RENEW_BEFORE


def _read(path: Path) -> Identity | None:
    try:
        content = path.read_bytes()
        key = serialization.load_pem_private_key(content, None)
        certificate = x509.load_pem_x509_certificate(content)
    except (OSError, ValueError):
        return None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
        return None
    return Identity(certificate, key)


def _holds(path: Path, content: bytes) -> bool:
    return path.exists() and path.read_bytes() == content


def _write(path: Path, content: bytes) -> None:
    # Written beside and renamed: a kill between the two leaves the former file whole.
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.unfinished")
    unfinished.unlink(missing_ok=True)
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(descriptor)
    unfinished.replace(path)
