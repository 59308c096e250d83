"""Everything that the configuration is made of, in one value.

Owns the gathering, and the sentence why an input was not taken. Equal inputs
yield equal configuration.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from gateway.origins import ANY, Origins
from gateway.overrides import Overrides
from mesh.control.authority import GRACE, LEAF_LIFETIME, Identity
from mesh.control.resources import endpoints, steering
from mesh.control.resources.endpoints import Endpoints, Host
from mesh.control.traffic import USUAL, Traffic
from mesh.policy import Contract

CONNECTION_AGE_S = 600.0
LIMITER_TIMEOUT_S = 0.05


@dataclass(frozen=True, slots=True)
class Settings:
    """What the environment says; read once."""

    state: Path
    contract: Path
    edge_host: str
    edge_port: int
    log_level: str = "INFO"
    certificate_s: float = LEAF_LIFETIME.total_seconds()
    """How long a workload's certificate is valid."""
    certificate_grace: float = GRACE
    """The share of that which is left when the next is due."""
    connection_age_s: float = CONNECTION_AGE_S
    origins: Origins = ANY
    """Whose pages may use the edge."""
    own: Host | None = None
    """Region and zone of the proxies; None where nobody says."""
    direct_port: int = 0
    """The first of the ports of loopback at which gRPC clients with no proxy beside them
    reach the services, one each in the catalogue's order; 0 for none of it."""
    tls: str = ""
    """The oldest TLS that the edge serves, `1.3` or `1.2`; empty for no TLS at all."""
    trusted_hops: int = 0
    """How many proxies of ours stand before the edge and say in X-Forwarded-For who called."""
    limiter_timeout_s: float = LIMITER_TIMEOUT_S
    """How long a call waits to be counted for all edges; then it goes on uncounted."""

    @property
    def run(self) -> Path:
        """The folder of the sockets."""
        return self.state / "run"

    @property
    def mesh(self) -> Path:
        """The folder of the mesh's own files."""
        return self.state / "mesh"


@dataclass(frozen=True, slots=True)
class Inputs:
    """A moment's view of the contract, the machine and the keys."""

    run: Path
    edge_host: str
    edge_port: int
    proof: str = field(repr=False)
    contract: Contract
    descriptor_set: bytes = field(repr=False)
    ca_pem: bytes
    identities: Mapping[str, Identity] = field(repr=False)
    """By workload: the edge, the control plane and every service."""
    endpoints: Endpoints
    overrides: Overrides
    jwks: str
    tls: str = ""
    trusted_hops: int = 0
    limiter_timeout_s: float = LIMITER_TIMEOUT_S
    connection_age_s: float = CONNECTION_AGE_S
    """When a connection inside the mesh gets no new calls, so that a new certificate is used."""
    origins: Origins = ANY
    direct_port: int = 0
    own: Host | None = None
    """Where the proxies stand, as far as they prefer who stands there too."""
    traffic: Traffic = USUAL
    """What of the operator's wishes holds now."""

    @property
    def groups(self) -> tuple[str, ...]:
        """Whatever calls can go to: services, subsets, and what the operator's ways lead to."""
        ways = [
            group
            for service, each in self.traffic.steering.items()
            for group in steering.groups(service, each)
        ]
        return tuple(dict.fromkeys((*endpoints.groups(self.endpoints), *ways)))
