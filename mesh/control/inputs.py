"""Everything that the configuration is made of, in one value.

Owns the gathering, and the sentence why an input was not taken. Equal inputs
yield equal configuration.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from gateway.overrides import Overrides
from mesh.control.authority import Identity
from mesh.policy import Contract


@dataclass(frozen=True, slots=True)
class Settings:
    """What the environment says; read once."""

    state: Path
    contract: Path
    edge_host: str
    edge_port: int
    log_level: str = "INFO"

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
    endpoints: Mapping[str, tuple[str, ...]]
    overrides: Overrides
    jwks: str
