"""Meshes for tests whose edges count together: each with a limiter of its own, one Redis.

Owns the Redis and the limiters' processes beside what `MeshStack` owns. Leaves nothing
behind.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager

from mesh.local import envoy
from tests.support.mesh_stack import MeshStack, until
from tests.support.scratch import short_folder
from tests.support.stores import Stores

LIMITER = "limiter-0"
# Of a machine that runs other tests at the same time.
PATIENCE_MS, TIMEOUT_MS = 400, 600


class CountedMesh(MeshStack):
    """A mesh whose edge asks a limiter."""

    def __init__(
        self, stores: Stores, proof: str, settings: Mapping[str, str] | None = None
    ) -> None:
        """`proof` is what all that count together have in common."""
        told = {"PALESTRA_LIMITER_TIMEOUT_MS": str(TIMEOUT_MS), **(settings or {})}
        super().__init__(settings=told)
        self.stores = stores
        (self.state / "mesh" / "proof").write_text(proof)
        self.parts = {"limiter": [self._socket]}

    @property
    def _socket(self) -> str:
        return str(self.run / f"{LIMITER}.sock")

    def start(self) -> None:
        """Starts everything, and waits until the edge and Redis know the limiter."""
        self.start_limiter()
        super().start()
        self.wait_counted()

    def start_limiter(self) -> None:
        """Starts the limiter."""
        environment = {
            "PALESTRA_LISTEN": f"unix:{self._socket}",
            "PALESTRA_REDIS_URL": self.stores.redis_url("limiter"),
            "PALESTRA_MESH_PROOF_FILE": str(self.state / "mesh" / "proof"),
            "PALESTRA_METRICS": f"unix:{self.run / f'{LIMITER}.prom'}",
            "PALESTRA_LIMITER_PATIENCE_MS": str(PATIENCE_MS),
            "PALESTRA_DRAIN_S": "0.1",
        }
        self.spawn(LIMITER, [sys.executable, "-m", "gateway.limiter"], environment)

    def signal_limiter(self, number: signal.Signals) -> None:
        """Stops it or lets it go on."""
        os.kill(self.processes[LIMITER].pid, number)

    def wait_counted(self, *, healthy: bool = True) -> None:
        """Waits until the edge takes the limiter for healthy, or no more."""
        flag = f"{self._socket}::health_flags::healthy\n".encode()
        until(lambda: (flag in self.clusters("edge")) is healthy, f"the limiter healthy: {healthy}")

    def decisions(self, by: str, outcome: str) -> float:
        """How many the limiter made in this way, by its own metrics."""
        text = asyncio.run(envoy.get(self.run / f"{LIMITER}.prom", "/metrics")).decode()
        start = f'palestra_limit_decisions_total{{by="{by}",outcome="{outcome}"}} '
        (line,) = (each for each in text.splitlines() if each.startswith(start))
        return float(line.removeprefix(start))


@contextmanager
def counted_meshes(*settings: Mapping[str, str]) -> Iterator[list[CountedMesh]]:
    """A mesh for each settings of a control plane, started; they count together."""
    proof = secrets.token_urlsafe(32)
    with short_folder() as folder, ExitStack() as ends:
        stores = Stores(folder)
        ends.callback(stores.stop)
        stores.start("redis")
        meshes = []
        for each in settings:
            meshes.append(CountedMesh(stores, proof, each))
            ends.callback(meshes[-1].stop)
        for mesh in meshes:
            mesh.start()
        yield meshes
