"""The local certificate authority: a CA on disk, short-lived certificates in memory.

Owns `ca.pem` and `ca.key`, and what a workload's certificate says (its SPIFFE
id). Decides lifetimes. Never writes a workload's key anywhere. How one authority
follows another is `succession`'s.
"""

from __future__ import annotations

import os
import random
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
LEAF_LIFETIME = timedelta(hours=1)
GRACE = 0.5
# So that not all workloads renew at once.
_GIVE_OR_TAKE = 0.05
# Clocks differ.
_BACKDATED = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Life:
    """How long a workload's certificate is valid, and when the next one is due."""

    lifetime: timedelta = LEAF_LIFETIME
    grace: float = GRACE
    """The share of the lifetime that is left then: so long the control plane may be away."""

    def renewal(self, now: datetime, until: datetime) -> datetime:
        """When a certificate made now and valid until then is followed by the next."""
        share = random.uniform(-_GIVE_OR_TAKE, _GIVE_OR_TAKE) + 1 - self.grace
        return now + share * (until - now)


USUAL_LIFE = Life()


@dataclass(frozen=True, slots=True)
class Identity:
    """A workload's certificate and key."""

    workload: str
    chain_pem: bytes
    key_pem: bytes
    not_after: datetime
    renew_at: datetime
    """When it is time for the next one."""

    def due(self, now: datetime) -> bool:
        """Whether it is."""
        return now >= self.renew_at


@dataclass(frozen=True, slots=True)
class Authority:
    """A CA that can sign."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def ca_pem(self) -> bytes:
        """What everybody trusts."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def issue(self, workload: str, now: datetime, life: Life = USUAL_LIFE) -> Identity:
        """A fresh key and certificate for a workload."""
        key = ec.generate_private_key(ec.SECP256R1())
        until = min(now + life.lifetime, self.certificate.not_valid_after_utc)
        # gRPC for Python checks DNS names only; the mesh itself goes by the URI.
        names = x509.SubjectAlternativeName(
            [
                x509.UniformResourceIdentifier(catalog.spiffe_id(workload)),
                x509.DNSName(workload),
            ]
        )
        purposes = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        certificate = (
            builder(named(workload), self.certificate.subject, now, until)
            .public_key(key.public_key())
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(names, critical=False)
            .add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
            .sign(self.key, hashes.SHA256())
        )
        chain = certificate.public_bytes(serialization.Encoding.PEM)
        return Identity(workload, chain, private_pem(key), until, life.renewal(now, until))


def open_authority(folder: Path, now: datetime) -> Authority:
    """The CA of a state folder; a new one where there is none, or it is broken or over."""
    found = read_authority(folder, "ca")
    if found is None or now >= found.certificate.not_valid_after_utc:
        found = create_authority(now)
        write_authority(folder, "ca", found)
    return found


def read_authority(folder: Path, name: str) -> Authority | None:
    """The CA in `NAME.pem` and `NAME.key`; None where they are not a whole one."""
    try:
        certificate = x509.load_pem_x509_certificate((folder / f"{name}.pem").read_bytes())
        key = serialization.load_pem_private_key((folder / f"{name}.key").read_bytes(), None)
    except (OSError, ValueError):
        return None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        return None
    return Authority(certificate, key) if key.public_key() == certificate.public_key() else None


def create_authority(now: datetime) -> Authority:
    """A new CA, in memory."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = named(f"{catalog.TRUST_DOMAIN} mesh CA")
    certificate = (
        builder(name, name, now, now + CA_LIFETIME)
        .public_key(key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    return Authority(certificate, key)


def write_authority(folder: Path, name: str, authority: Authority) -> None:
    """Keeps a CA as `NAME.pem` and `NAME.key`."""
    # The key first: a certificate without its key would be trusted and useless.
    write_private(folder / f"{name}.key", private_pem(authority.key))
    write_private(folder / f"{name}.pem", authority.ca_pem)


def named(name: str) -> x509.Name:
    """A subject of that common name."""
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def builder(
    subject: x509.Name, issuer: x509.Name, now: datetime, until: datetime
) -> x509.CertificateBuilder:
    """What every certificate of ours begins with."""
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(until)
    )


def private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """A key as Envoy and files have it, in the clear."""
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
