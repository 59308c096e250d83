"""What came through the mesh can prove it; what did not is refused.

The node proxy adds a secret that only it and the workers of this machine know,
and the certificate's SPIFFE id of who called it.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from mesh import catalog
from mesh.runtime.errors import MeshError

PROOF_HEADER = "x-palestra-mesh-proof"
PEER_HEADER = "x-forwarded-client-cert"


class Proof:
    """The secret of this machine's node proxy."""

    def __init__(self, path: Path) -> None:
        self._secret = path.read_text().strip().encode()
        if not self._secret:
            raise ValueError(f"{path} is empty")

    def caller(self, metadata: Mapping[str, str]) -> str:
        """The workload that called, by its certificate.

        Raises:
            MeshError: OUTSIDE_MESH where the call did not come through the node proxy.
        """
        shown = metadata.get(PROOF_HEADER, "")
        if not hmac.compare_digest(shown.encode(), self._secret):
            raise MeshError("OUTSIDE_MESH")
        return _workload(metadata.get(PEER_HEADER, ""))


@lru_cache(maxsize=256)
def _workload(peer: str) -> str:
    """`By=…;Hash=…;URI=spiffe://palestra.local/edge` -> `edge`; empty where it says none."""
    # The node proxy sets the header anew, so there is one element only.
    for pair in peer.split(";"):
        key, _, value = pair.partition("=")
        if key == "URI":
            return catalog.workload(value) or ""
    return ""
