"""The certificate that the world sees at the edge, and the authority behind it.

Owns `site.pem` and `site.key`: an authority of its own, which no workload trusts and
which among names can vouch for this machine's alone, so that to trust it in a browser
gives away no other site. Never signs a workload's certificate.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from mesh.control import authority
from mesh.control.authority import Authority, Identity, Life

SITE = "site"
"""What the certificate is called among the secrets; no workload has this name."""
MINIMA = ("1.3", "1.2")
"""The versions of TLS that may be the oldest served."""
_NAME = re.compile(r"[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*")


def own_names(host: str) -> tuple[str, ...]:
    """What this machine's edge is called: by itself, by its address, by its name."""
    names = ["localhost", "127.0.0.1", "::1", host, socket.gethostname().lower()]
    wild = {"0.0.0.0", "::", ""}  # noqa: S104  names nobody calls it by, not where it listens
    return tuple(dict.fromkeys(name for name in names if name not in wild and _is_name(name)))


def open_site(folder: Path, names: tuple[str, ...], now: datetime) -> Authority:
    """The authority of a state folder; a new one where it is over, or not for these names."""
    found = authority.read_authority(folder, SITE)
    usable = (
        found is not None
        and now < found.certificate.not_valid_after_utc - authority.CA_RENEW_BEFORE
        and _permitted(found.certificate) == set(_constraints(names))
    )
    if found is None or not usable:
        found = create_site(names, now)
        authority.write_authority(folder, SITE, found)
    return found


def create_site(names: tuple[str, ...], now: datetime) -> Authority:
    """A new authority for those names, in memory."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = authority.named(f"Palestra on {socket.gethostname()[:40]}")
    constraints = x509.NameConstraints(_constraints(names), None)
    certificate = (
        authority.builder(name, name, now, now + authority.CA_LIFETIME)
        .public_key(key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs=True), critical=True)
        .add_extension(constraints, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return Authority(certificate, key)


def issue(site: Authority, names: tuple[str, ...], now: datetime, life: Life) -> Identity:
    """A fresh key and certificate for the edge's port."""
    key = ec.generate_private_key(ec.SECP256R1())
    until = min(now + life.lifetime, site.certificate.not_valid_after_utc)
    above = x509.AuthorityKeyIdentifier.from_issuer_public_key(site.key.public_key())
    certificate = (
        authority.builder(authority.named(names[0]), site.certificate.subject, now, until)
        .public_key(key.public_key())
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(_general(names)), critical=False)
        .add_extension(above, critical=False)
        .sign(site.key, hashes.SHA256())
    )
    chain = certificate.public_bytes(serialization.Encoding.PEM)
    return Identity(SITE, chain, authority.private_pem(key), until, life.renewal(now, until))


def _is_name(name: str) -> bool:
    return _address(name) is not None or _NAME.fullmatch(name) is not None


def _address(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(name)
    except ValueError:
        return None


def _general(names: tuple[str, ...]) -> list[x509.GeneralName]:
    found = [(name, _address(name)) for name in names]
    return [x509.IPAddress(at) if at else x509.DNSName(name) for name, at in found]


def _constraints(names: tuple[str, ...]) -> list[x509.GeneralName]:
    # Of addresses nothing is said: gRPC's TLS refuses a certificate below such a constraint.
    return [x509.DNSName(name) for name in names if _address(name) is None]


def _permitted(certificate: x509.Certificate) -> set[x509.GeneralName]:
    try:
        found = certificate.extensions.get_extension_for_class(x509.NameConstraints)
    except x509.ExtensionNotFound:
        return set()
    return set(found.value.permitted_subtrees or ())


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs,
        key_cert_sign=signs,
        crl_sign=signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
