"""A service's methods served in this process as the runtime serves them, behind a unix socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc

from mesh import catalog, policy
from mesh.runtime.gate import Gate
from mesh.runtime.proof import PEER_HEADER, PROOF_HEADER, Proof
from mesh.runtime.server import Server, Servicer
from mesh.runtime.tokens import PublicKey, Verifier
from tests.support.made_tokens import Signer

SECRET = "the proof of these tests"
Metadata = tuple[tuple[str, str], ...]


def as_edge(token: str) -> Metadata:
    """What the mesh adds to a call of the edge, for the bearer of a token."""
    peer = f"By=spiffe://x;Hash=00;URI={catalog.spiffe_id(catalog.EDGE)}"
    return (
        (PROOF_HEADER, SECRET),
        (PEER_HEADER, peer),
        ("authorization", f"Bearer {token}"),
        ("x-request-id", "made-by-the-edge"),
    )


@dataclass(frozen=True, slots=True)
class Served:
    """A served service: where, and what ends it."""

    address: str
    server: Server
    stopping: asyncio.Event

    @asynccontextmanager
    async def channel(self, *more: tuple[str, int]) -> AsyncIterator[grpc.aio.Channel]:
        """A connection of its own, with more options of gRPC's."""
        options = [("grpc.use_local_subchannel_pool", 1), *more]
        async with grpc.aio.insecure_channel(self.address, options=options) as channel:
            yield channel


def verifier_of(signer: Signer) -> Verifier:
    """A verifier that knows the signer's key."""

    async def keys() -> list[PublicKey]:
        return [signer.public]

    return Verifier(keys)


@asynccontextmanager
async def served(
    folder: Path,
    service: str,
    servicers: Sequence[Servicer],
    verifier: Verifier,
    stopping: asyncio.Event,
) -> AsyncIterator[Served]:
    """Serves until the block is left."""
    proof = folder / "proof"
    proof.write_text(SECRET)
    packages = {servicer.CONTRACT.file.package for servicer in servicers}
    meanings = {m.reason: m for package in packages for m in policy.package_meanings(package)}
    gate = Gate(service, Proof(proof), verifier, None, meanings)
    server = Server(f"unix:{folder / service}.sock", servicers, gate, stopping)
    await server.start()
    try:
        yield Served(f"unix:{folder / service}.sock", server, stopping)
    finally:
        await server.drain(0, 0.2)
