"""What the control plane's configuration is made of, without a machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.overrides import Overrides
from mesh import catalog, policy
from mesh.control import keys
from mesh.control.authority import create_authority, utc_now
from mesh.control.inputs import Inputs
from mesh.control.resources.endpoints import Host


@pytest.fixture(scope="module")
def inputs() -> Inputs:
    authority, now = create_authority(utc_now()), utc_now()
    workloads = [catalog.EDGE, *(each.name for each in catalog.SERVICES)]
    descriptor_set = policy.DESCRIPTOR_SET.read_bytes()
    return Inputs(
        run=Path("/stack/run"),
        edge_host="127.0.0.1",
        edge_port=8080,
        proof="a-proof-with-100%-of-its-characters",
        contract=policy.contract_of(policy.files_of(descriptor_set)),
        descriptor_set=descriptor_set,
        ca_pem=authority.ca_pem,
        identities={each: authority.issue(each, now) for each in workloads},
        endpoints={"identity": (Host("/stack/run/identity-0.sock"),)},
        overrides=Overrides(),
        jwks=keys.nobody().jwks(),
    )
