"""Sealing by a person's own key what is archived of him, so that erasing him ends it.

Owns the form (that of `mesh.runtime.sealing`) and a small cache. Identity makes, keeps and
destroys the keys. What was sealed is bound to its person and its place.
"""

from __future__ import annotations

import time
import uuid
from collections import OrderedDict
from collections.abc import Awaitable, Callable

from mesh.runtime.channel import MeshChannel
from mesh.runtime.sealing import SealBroken, Sealer, SealKey

REMEMBERED_S = 60.0
"""A destroyed key opens nothing after so long, wherever it was used last."""
MOST = 1_000
ID_BYTES = 4
Fetch = Callable[[uuid.UUID], Awaitable[tuple[uuid.UUID, bytes]]]
"""A person's key: its id, and 32 bytes."""


class PersonKeys:
    """People's keys, as a process that archives needs them."""

    def __init__(self, fetch: Fetch, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._fetch = fetch
        self._clock_s = clock_s
        self._known: OrderedDict[uuid.UUID, tuple[float, Sealer]] = OrderedDict()

    async def seal(self, user: uuid.UUID, plain: bytes, place: str) -> bytes:
        """`plain`, readable by `open` with the same person and place, while he has his key."""
        return (await self._sealer(user)).seal(plain, f"{user}/{place}")

    async def open(self, user: uuid.UUID, sealed: bytes, place: str) -> bytes:
        """What was sealed.

        Raises:
            SealBroken: changed, of another person or place, or his key was destroyed since.
        """
        return (await self._sealer(user)).open(sealed, f"{user}/{place}")

    def forget(self, user: uuid.UUID) -> None:
        """Drops what is remembered: the key was destroyed."""
        self._known.pop(user, None)

    async def _sealer(self, user: uuid.UUID) -> Sealer:
        now_s = self._clock_s()
        found = self._known.get(user)
        if found is not None and now_s < found[0]:
            return found[1]
        key_id, secret = await self._fetch(user)
        sealer = Sealer((SealKey(key_id.bytes[-ID_BYTES:], secret),))
        self._known[user] = now_s + REMEMBERED_S, sealer
        self._known.move_to_end(user)
        while len(self._known) > MOST:
            self._known.popitem(last=False)
        return sealer


def from_mesh(mesh: MeshChannel) -> Fetch:
    """Keys as identity gives them out."""

    async def fetch(user: uuid.UUID) -> tuple[uuid.UUID, bytes]:
        # Imported here: most services archive nothing.
        from palestra.identity.v1 import person_key_service_pb2 as pb
        from palestra.identity.v1 import person_key_service_pb2_grpc as rpc

        stub = rpc.PersonKeyServiceStub(mesh.for_stubs())
        found = await stub.GetPersonKey(pb.GetPersonKeyRequest(name=f"users/{user}"))
        return uuid.UUID(found.key_id), found.key

    return fetch


__all__ = ["MOST", "REMEMBERED_S", "Fetch", "PersonKeys", "SealBroken", "from_mesh"]
