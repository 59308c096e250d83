"""Certificates and trust as Envoy's secrets, and the TLS contexts that use them.

Owns the demands on both ends of a connection in the mesh: TLS 1.3, a
certificate of our CA, the workload's SPIFFE id. Never makes a certificate.
"""

from __future__ import annotations

from collections.abc import Mapping

from envoy_data_plane.envoy.config.core.v3 import DataSource, TransportSocket
from envoy_data_plane.envoy.extensions.transport_sockets.tls.v3 import (
    CertificateValidationContext,
    CommonTlsContext,
    CommonTlsContextCombinedCertificateValidationContext,
    DownstreamTlsContext,
    SdsSecretConfig,
    Secret,
    SubjectAltNameMatcher,
    SubjectAltNameMatcherSanType,
    TlsCertificate,
    TlsParameters,
    TlsParametersTlsProtocol,
    UpstreamTlsContext,
)
from envoy_data_plane.envoy.type.matcher.v3 import StringMatcher

from mesh import catalog
from mesh.control.authority import Identity
from mesh.control.resources import names
from mesh.control.site import SITE
from mesh.control.wire import exactly, from_control, pack_known

_SOCKET = "envoy.transport_sockets.tls"
_CIPHERS = (
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-CHACHA20-POLY1305",
)


def certificates(identities: Mapping[str, Identity]) -> list[Secret]:
    """A certificate and key per workload."""
    return [
        Secret(
            name=workload,
            tls_certificate=TlsCertificate(
                certificate_chain=DataSource(inline_bytes=identity.chain_pem),
                private_key=DataSource(inline_bytes=identity.key_pem),
            ),
        )
        for workload, identity in identities.items()
    ]


def trust(ca_pem: bytes) -> Secret:
    """Whose certificates count."""
    context = CertificateValidationContext(trusted_ca=DataSource(inline_bytes=ca_pem))
    return Secret(name=names.CA, validation_context=context)


def server_side(service: str) -> TransportSocket:
    """Answers as `service`; any workload of ours may connect, RBAC says what it may call."""
    ours = StringMatcher(prefix=catalog.spiffe_id(""))
    context = DownstreamTlsContext(
        common_tls_context=_context(service, ours), require_client_certificate=True
    )
    return TransportSocket(name=_SOCKET, typed_config=pack_known(context))


def site_side(minimum: str) -> TransportSocket:
    """Answers the world as this machine, to whoever comes; `minimum` is the oldest TLS."""
    newest = TlsParametersTlsProtocol.TLSv1_3
    oldest = newest if minimum == "1.3" else TlsParametersTlsProtocol.TLSv1_2
    context = DownstreamTlsContext(
        common_tls_context=CommonTlsContext(
            tls_params=TlsParameters(
                tls_minimum_protocol_version=oldest,
                tls_maximum_protocol_version=newest,
                # Of TLS 1.2 only what has forward secrecy and authenticates what it encrypts.
                cipher_suites=[] if oldest == newest else list(_CIPHERS),
            ),
            tls_certificate_sds_secret_configs=[_secret(SITE)],
            alpn_protocols=["h2", "http/1.1"],
        )
    )
    return TransportSocket(name=_SOCKET, typed_config=pack_known(context))


def client_side(caller: str, service: str) -> TransportSocket:
    """Connects as `caller` to `service` and nobody else."""
    peer = exactly(catalog.spiffe_id(service))
    context = UpstreamTlsContext(common_tls_context=_context(caller, peer), sni=service)
    return TransportSocket(name=_SOCKET, typed_config=pack_known(context))


def _context(workload: str, peer: StringMatcher) -> CommonTlsContext:
    # The client's maximum is TLS 1.2 unless it is said.
    newest = TlsParametersTlsProtocol.TLSv1_3
    matcher = SubjectAltNameMatcher(san_type=SubjectAltNameMatcherSanType.URI, matcher=peer)
    return CommonTlsContext(
        tls_params=TlsParameters(
            tls_minimum_protocol_version=newest, tls_maximum_protocol_version=newest
        ),
        tls_certificate_sds_secret_configs=[_secret(workload)],
        combined_validation_context=CommonTlsContextCombinedCertificateValidationContext(
            default_validation_context=CertificateValidationContext(
                match_typed_subject_alt_names=[matcher]
            ),
            validation_context_sds_secret_config=_secret(names.CA),
        ),
        alpn_protocols=["h2"],
    )


def _secret(name: str) -> SdsSecretConfig:
    return SdsSecretConfig(name=name, sds_config=from_control())
