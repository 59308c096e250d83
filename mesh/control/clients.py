"""gRPC clients that speak xDS themselves, as workloads that have no proxy beside them.

Owns which workloads those are, and the files that such a client starts from: its
certificate with the key, whom to trust, and the bootstrap that names them. The files are
renewed as certificates are; gRPC looks at them again and again. What the clients are told
is `resources.direct`'s.
"""

from __future__ import annotations

import json
from pathlib import Path

from mesh import catalog
from mesh.control.authority import Identity, write_private
from mesh.control.resources.direct import PROVIDER

WORKLOADS = (catalog.OPERATOR,)
_KIND = "client/"
_LOOKED_AT = "5s"


def proxy_name(workload: str) -> str:
    """By which name control knows such a client: the node id of its bootstrap."""
    return f"{_KIND}{workload}"


def is_client(proxy: str) -> bool:
    """Whether that is the name of a client: it may come and go, nothing waits for it."""
    return proxy.startswith(_KIND)


def keep_files(mesh: Path, run: Path, identity: Identity, ca_pem: bytes) -> None:
    """Writes or renews a workload's files below `mesh/clients/<workload>`."""
    folder = mesh / "clients" / identity.workload
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    # gRPC reads key and certificate apart, and takes them only where they fit each other.
    write_private(folder / "key.pem", identity.key_pem)
    write_private(folder / "certificate.pem", identity.chain_pem)
    write_private(folder / "ca.pem", ca_pem)
    bootstrap = bootstrap_of(identity.workload, folder, run)
    write_private(folder / "xds.json", json.dumps(bootstrap, indent=1).encode())


def bootstrap_of(workload: str, folder: Path, run: Path) -> dict[str, object]:
    """The bootstrap by gRFC A27 and A29."""
    files = {
        "certificate_file": str(folder / "certificate.pem"),
        "private_key_file": str(folder / "key.pem"),
        "ca_certificate_file": str(folder / "ca.pem"),
        "refresh_interval": _LOOKED_AT,
    }
    return {
        "xds_servers": [
            {
                "server_uri": f"unix:{run / 'xds.sock'}",
                "channel_creds": [{"type": "insecure"}],
                "server_features": ["xds_v3"],
            }
        ],
        "node": {"id": proxy_name(workload)},
        "certificate_providers": {PROVIDER: {"plugin_name": "file_watcher", "config": files}},
    }
