"""Tombstones: who was erased, written where no backup of a database reaches.

Each is an object of the store of blobs, called by a hash of the id, sealed, written once and
never removed. After a database was restored they say who must not be back.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from mesh.runtime.blobs import Objects
from mesh.runtime.sealing import Sealer

FOLDER: Final = "tombstones"
MOST_BYTES: Final = 4_096


@dataclass(frozen=True, slots=True)
class Tombstone:
    """Who was erased, and what proves it."""

    user_id: uuid.UUID
    at: datetime
    erasure_id: uuid.UUID
    secret_hash: bytes
    """Of the certificate's secret."""

    @property
    def name(self) -> str:
        """What it is called."""
        return name_of(self.user_id)


def name_of(user: uuid.UUID) -> str:
    """The SHA-256 of the id's 16 bytes, in hexadecimal."""
    return hashlib.sha256(user.bytes).hexdigest()


class Tombstones:
    """The tombstones of a service's people."""

    def __init__(self, objects: Objects, service: str, sealer: Sealer) -> None:
        self._objects = objects
        self._folder = f"{FOLDER}/{service}"
        self._sealer = sealer

    async def write(self, stone: Tombstone) -> None:
        """Writes one; again, the same.

        Raises:
            Unavailable
        """
        told = {
            "user": str(stone.user_id),
            "at": stone.at.isoformat(),
            "erasure": str(stone.erasure_id),
            "secret_hash": stone.secret_hash.hex(),
        }
        path = f"{self._folder}/{stone.name}"
        await self._objects.put(path, self._sealer.seal(json.dumps(told).encode(), path))

    async def names(self) -> AsyncIterator[list[str]]:
        """What all of them are called, page by page.

        Raises:
            Unavailable
        """
        async for page in self._objects.pages(self._folder):
            yield [path.rpartition("/")[2] for path in page]

    async def read(self, name: str) -> Tombstone:
        """One of them.

        Raises:
            SealBroken, Unavailable, BlobGone
        """
        path = f"{self._folder}/{name}"
        sealed = b"".join([part async for part in self._objects.chunks(path, 0, MOST_BYTES)])
        told = json.loads(self._sealer.open(sealed, path))
        return Tombstone(
            uuid.UUID(told["user"]),
            datetime.fromisoformat(told["at"]),
            uuid.UUID(told["erasure"]),
            bytes.fromhex(told["secret_hash"]),
        )
