"""Everything that both proxies are told, as one digest.

`python -m tests.support.rendered light` prints it as the control plane's process would make
it, `… validated` as the unit tests do.
"""

from __future__ import annotations

import dataclasses
import hashlib
import sys
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path

from mesh.control.light_types import without_validators


def digest() -> str:
    """Of every resource of both proxies, in their order, with secrets that never change."""
    from gateway.overrides import Overrides
    from mesh import catalog, policy
    from mesh.control import render
    from mesh.control.authority import Identity
    from mesh.control.inputs import Inputs
    from mesh.control.resources.endpoints import Host

    descriptor_set = policy.DESCRIPTOR_SET.read_bytes()
    until = datetime(2030, 1, 1, tzinfo=UTC)
    workloads = [catalog.EDGE, *(each.name for each in catalog.SERVICES)]
    inputs = Inputs(
        run=Path("/stack/run"),
        edge_host="127.0.0.1",
        edge_port=8080,
        proof="a proof",
        contract=policy.contract_of(policy.files_of(descriptor_set)),
        descriptor_set=descriptor_set,
        ca_pem=b"a CA",
        identities={each: Identity(each, b"a chain", b"a key", until, until) for each in workloads},
        endpoints={"identity": (Host("/stack/run/identity-0.sock"),)},
        overrides=Overrides(),
        jwks='{"keys": []}',
    )
    found = hashlib.sha256()
    for resources in (render.edge(inputs), render.node(inputs)):
        for field in dataclasses.fields(resources):
            for each in getattr(resources, field.name):
                found.update(bytes(each))
    return found.hexdigest()


if __name__ == "__main__":
    if sys.argv[1] == "light":
        with without_validators():
            import_module("mesh.control.app")
        import_module("mesh.control.wire").trust_own_messages()
    print(digest())
