"""The processes that get traffic: workers of services, copies beside them, parts of the edge.

Decides their commands, environments and sockets. How many there are is the plan's at the
start, and `scaling`'s afterwards.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from mesh import catalog
from mesh.local import health, probes
from mesh.local.places import ROOT, Places
from mesh.local.spec import Spec, Stage
from mesh.local.stores import database

if TYPE_CHECKING:
    from mesh.local.credentials import Credentials
    from mesh.local.plan import Options

REGION = 0
DRAIN_S = 1
CONTRACT = ROOT / "build" / "gen" / "contract.binpb"


@dataclass(frozen=True, slots=True)
class Copy:
    """What a subset of a service's workers has otherwise than the others."""

    checkout: Path = ROOT
    """Whose code it runs; by the interpreter of that folder's own `.venv`, where it has one."""
    env: Mapping[str, str] = field(default_factory=dict)
    """Settings over the usual ones."""

    @property
    def python(self) -> str:
        """The interpreter."""
        own = self.checkout / ".venv" / "bin" / "python"
        return str(own) if self.checkout != ROOT and own.exists() else sys.executable


SAME = Copy()


def worker(
    options: Options,
    places: Places,
    env: Mapping[str, str],
    credentials: Credentials,
    service: str,
    number: int,
    subset: str = "",
    copy: Copy = SAME,
) -> Spec:
    """A worker of a service; one of a subset answers calls, and leaves events and jobs alone.

    Only one process of a service holds a lease, so that a share of the calls can be
    given to a subset, but no share of the events.
    """
    group = f"{service}:{subset}" if subset else service
    name = f"{group.replace(':', '-')}-{number}"
    listen, metrics = places.run / f"{name}.sock", places.run / f"{name}.prom"
    return Spec(
        name=name,
        stage=Stage.SERVICES,
        service=group,
        argv=(copy.python, "-m", catalog.service(service).module),
        env={
            **env,
            "PALESTRA_SERVICE": service,
            "PALESTRA_WORKER": str(number),
            "PALESTRA_LISTEN": f"unix:{listen}",
            "PALESTRA_METRICS": f"unix:{metrics}",
            "PALESTRA_MESH": f"unix:{places.run / f'{service}.out.sock'}",
            "PALESTRA_MESH_PROOF_FILE": str(places.proof),
            "PALESTRA_DATABASE_URL": database.url(
                places.postgres, service, credentials.postgres[service]
            ),
            "PALESTRA_DATABASE_POOL": str(database.POOL),
            "PALESTRA_REDIS_URL": _redis_url(places, service, credentials),
            "PALESTRA_REGION": str(REGION),
            "PALESTRA_LOG_LEVEL": options.log_level,
            "PALESTRA_DRAIN_S": str(DRAIN_S),
            "PALESTRA_BLOBS_SITE": options.rest_url,
            "PALESTRA_SEAL_KEYS_FILE": str(places.seal_keys(service)),
            **_blobs(options, places),
            **({"PALESTRA_TRACE_ENDPOINT": options.traces} if options.traces else {}),
            **_own(places, service),
            **(_identity(options) if service == "identity" else {}),
            **({"PALESTRA_LEASES": "no"} if subset else {}),
            **copy.env,
        },
        cwd=copy.checkout,
        probe=health.worker(listen),
        endpoint=listen,
        sockets=(listen, metrics),
    )


def _identity(options: Options) -> dict[str, str]:
    return {
        "PALESTRA_IDENTITY_PASSKEY_ORIGINS": f"{options.rest_url},{options.named_url}",
        **options.identity,
    }


def part(
    options: Options,
    places: Places,
    env: Mapping[str, str],
    credentials: Credentials,
    chosen: catalog.Part,
    number: int,
) -> Spec:
    """A part of the edge."""
    name = f"{chosen.name}-{number}"
    listen, metrics = places.run / f"{name}.sock", places.run / f"{name}.prom"
    told = (
        {"PALESTRA_REDIS_URL": _redis_url(places, chosen.name, credentials)}
        if chosen.counts
        else {
            # Such processes call services as the edge does.
            "PALESTRA_MESH": f"unix:{places.run / f'{catalog.EDGE}.out.sock'}",
            "PALESTRA_CONTRACT": str(CONTRACT),
            "PALESTRA_WEB_ORIGINS": options.origins,
            "PALESTRA_BLOBS_STAGING": str(places.blobs / "staging"),
            "PALESTRA_BLOBS_SCAN": options.scan,
            "PALESTRA_BLOBS_PASS_UNSCANNED": str(options.pass_unscanned),
            **_blobs(options, places),
        }
    )
    return Spec(
        name=name,
        stage=Stage.SERVICES,
        service=chosen.name,
        argv=(sys.executable, "-m", chosen.module),
        env={
            **env,
            "PALESTRA_WORKER": str(number),
            "PALESTRA_LISTEN": f"unix:{listen}",
            "PALESTRA_METRICS": f"unix:{metrics}",
            "PALESTRA_MESH_PROOF_FILE": str(places.proof),
            "PALESTRA_LOG_LEVEL": options.log_level,
            "PALESTRA_DRAIN_S": str(DRAIN_S),
            **told,
        },
        cwd=ROOT,
        probe=health.worker(listen) if chosen.grpc else probes.page(listen, "/healthz"),
        endpoint=listen,
        sockets=(listen, metrics),
    )


def _own(places: Places, service: str) -> dict[str, str]:
    """What one service alone is told."""
    if service == "identity":
        return {"PALESTRA_IDENTITY_MAILBOX": str(places.mail)}
    return {}


def _redis_url(places: Places, user: str, credentials: Credentials) -> str:
    socket = quote(str(places.run / "redis.sock"))
    return f"unix://{user}:{credentials.redis[user]}@{socket}?db=0"


def _blobs(options: Options, places: Places) -> dict[str, str]:
    """Where files lie, and by which keys their links are signed."""
    url = options.blobs or (places.blobs / "objects").as_uri()
    told = {"PALESTRA_BLOBS_URL": url, "PALESTRA_BLOBS_KEYS_FILE": str(places.blob_keys)}
    if options.blobs:
        # The store's own credentials, for those who read and write it, and nobody else.
        told |= {name: each for name, each in os.environ.items() if name.startswith("AWS_")}
    return told
