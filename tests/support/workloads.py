"""Channels into a running stack past its edge: as another workload, or past the node proxy."""

from __future__ import annotations

from datetime import timedelta

import grpc
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from mesh.control.authority import (
    Authority,
    Identity,
    builder,
    open_authority,
    private_pem,
    utc_now,
)
from tests.support.whole_stack import WholeStack

# Channels of one process share connections by address otherwise, whatever their certificate.
_APART = ("grpc.use_local_subchannel_pool", 1)


def as_workload(stack: WholeStack, workload: str, service: str) -> grpc.aio.Channel:
    """To a service's inbound listener, with a certificate of the stack's own authority."""
    now = utc_now()
    authority = open_authority(stack.places.mesh, now)
    identity = authority.issue(workload, now) if workload else _nameless(authority)
    credentials = grpc.ssl_channel_credentials(
        authority.ca_pem, identity.key_pem, identity.chain_pem
    )
    options = [_APART, ("grpc.ssl_target_name_override", service)]
    return grpc.aio.secure_channel(
        f"unix:{stack.places.run}/{service}.in.sock", credentials, options
    )


def _nameless(authority: Authority) -> Identity:
    """A certificate of the authority's in which no workload is named."""
    key = ec.generate_private_key(ec.SECP256R1())
    now = utc_now()
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "nobody")])
    until = now + timedelta(hours=1)
    certificate = (
        builder(subject, authority.certificate.subject, now, until)
        .public_key(key.public_key())
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("nobody")]), critical=False)
        .sign(authority.key, hashes.SHA256())
    )
    chain = certificate.public_bytes(serialization.Encoding.PEM)
    return Identity("", chain, private_pem(key), until, until)


def past_the_mesh(stack: WholeStack, service: str) -> grpc.aio.Channel:
    """To a worker's own socket."""
    return grpc.aio.insecure_channel(f"unix:{stack.places.run}/{service}-0.sock", [_APART])


def through_the_edge(stack: WholeStack) -> grpc.aio.Channel:
    """As everybody outside."""
    return grpc.aio.insecure_channel(stack.target, [_APART])
