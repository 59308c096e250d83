"""The local certificate authority: a CA on disk, short-lived certificates in memory.

Owns `ca.pem` and `ca.key`, and what a workload's certificate says (its SPIFFE
id). Decides lifetimes. Never writes a workload's key anywhere.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from mesh import catalog

CA_LIFETIME = timedelta(days=3650)
CA_RENEW_BEFORE = timedelta(days=30)
LEAF_LIFETIME = timedelta(hours=24)
LEAF_RENEW_BEFORE = timedelta(hours=8)
# Clocks differ.
_BACKDATED = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Identity:
    """A workload's certificate and key."""

    workload: str
    chain_pem: bytes
    key_pem: bytes
    not_after: datetime

    def due(self, now: datetime) -> bool:
        """Whether it is time for the next one."""
        return now >= self.not_after - LEAF_RENEW_BEFORE


@dataclass(frozen=True, slots=True)
class Authority:
    """A CA that can sign."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def ca_pem(self) -> bytes:
        """What everybody trusts."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def issue(self, workload: str, now: datetime) -> Identity:
        """A fresh key and certificate for a workload, valid for 24 hours."""
        key = ec.generate_private_key(ec.SECP256R1())
        until = min(now + LEAF_LIFETIME, self.certificate.not_valid_after_utc)
        # gRPC for Python checks DNS names only; the mesh itself goes by the URI.
        names = x509.SubjectAlternativeName(
            [
                x509.UniformResourceIdentifier(catalog.spiffe_id(workload)),
                x509.DNSName(workload),
            ]
        )
        purposes = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        certificate = (
            _builder(_named(workload), self.certificate.subject, now, until)
            .public_key(key.public_key())
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(names, critical=False)
            .add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
            .sign(self.key, hashes.SHA256())
        )
        chain = certificate.public_bytes(serialization.Encoding.PEM)
        return Identity(workload, chain, _private_pem(key), until)


def open_authority(folder: Path, now: datetime) -> Authority:
    """The CA of a state folder; a new one where there is none, or it is broken or about to end."""
    try:
        certificate = x509.load_pem_x509_certificate((folder / "ca.pem").read_bytes())
        key = serialization.load_pem_private_key((folder / "ca.key").read_bytes(), None)
    except (OSError, ValueError):
        return _create(folder, now)
    usable = (
        isinstance(key, ec.EllipticCurvePrivateKey)
        and key.public_key() == certificate.public_key()
        and now < certificate.not_valid_after_utc - CA_RENEW_BEFORE
    )
    if not usable or not isinstance(key, ec.EllipticCurvePrivateKey):
        return _create(folder, now)
    return Authority(certificate, key)


def create_authority(now: datetime) -> Authority:
    """A new CA, in memory."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = _named(f"{catalog.TRUST_DOMAIN} mesh CA")
    certificate = (
        _builder(name, name, now, now + CA_LIFETIME)
        .public_key(key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    return Authority(certificate, key)


def _create(folder: Path, now: datetime) -> Authority:
    authority = create_authority(now)
    # The key first: a certificate without its key would be trusted and useless.
    write_private(folder / "ca.key", _private_pem(authority.key))
    write_private(folder / "ca.pem", authority.ca_pem)
    return authority


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _builder(
    subject: x509.Name, issuer: x509.Name, now: datetime, until: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(until)
    )


def _private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def write_private(path: Path, content: bytes) -> None:
    """Replaces a file at once, readable by its owner alone."""
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    fresh.replace(path)


def utc_now() -> datetime:
    """The time now."""
    return datetime.now(UTC)
