"""Parts: what services gave out, in blobs of some MiB, sealed, until all of it is there.

Owns the form of a part: pieces one after the other, each with the name of its file. A part
is remembered by the step that it belongs to only while nobody else has taken the step over.
"""

from __future__ import annotations

import struct
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field

from mesh.runtime.blobs import KEPT, BlobName, Blobs
from mesh.runtime.ids import uuid7
from mesh.runtime.personkeys import PersonKeys
from mesh.runtime.subjects import Piece
from services.identity.exports.store import Begun, ExportStore

PART_BYTES = 2 << 20
MOST_PART_BYTES = 4 << 20
KIND = "export-part"
_HEAD = struct.Struct(">HI")


class Fenced(Exception):
    """Another process has taken the step over: this one stops."""


def packed(pieces: list[Piece]) -> bytes:
    """A part's bytes."""
    found = bytearray()
    for piece in pieces:
        name = piece.file.encode()
        found += _HEAD.pack(len(name), len(piece.content)) + name + piece.content
    return bytes(found)


def unpacked(part: bytes) -> Iterator[tuple[str, bytes]]:
    """Its pieces: each file's name, and bytes."""
    at = 0
    while at < len(part):
        name_bytes, content_bytes = _HEAD.unpack_from(part, at)
        begin = at + _HEAD.size + name_bytes
        yield part[at + _HEAD.size : begin].decode(), part[begin : begin + content_bytes]
        at = begin + content_bytes


def blob(blobs: Blobs, user_id: uuid.UUID, file: str) -> BlobName:
    """Where a part lies."""
    return blobs.name(user_id, KIND, KEPT, file)


@dataclass(slots=True)
class PartWriter:
    """Writes the parts of one service's step."""

    store: ExportStore
    blobs: Blobs
    keys: PersonKeys
    begun: Begun
    _held: list[Piece] = field(default_factory=list)
    _held_bytes: int = 0

    async def add(self, piece: Piece) -> None:
        """Keeps a piece; writes a part where there is enough for one.

        Raises:
            Fenced, Unavailable
        """
        self._held.append(piece)
        self._held_bytes += len(piece.content)
        if self._held_bytes >= PART_BYTES:
            await self._flush(done=False)

    async def finish(self) -> None:
        """Writes what is left: the service gave out all.

        Raises:
            Fenced, Unavailable
        """
        await self._flush(done=True)

    async def _flush(self, *, done: bool) -> None:
        file, cursor = "", self._held[-1].cursor if self._held else ""
        begun = self.begun
        if self._held:
            file = f"{begun.export_id}-{uuid7()}"
            sealed = await self.keys.seal(begun.user_id, packed(self._held), file)
            await self.blobs.write(blob(self.blobs, begun.user_id, file), sealed)
        if not await self.store.keep(begun, file, cursor, self._held_bytes, done=done):
            raise Fenced
        begun.number += bool(file)
        self._held.clear()
        self._held_bytes = 0
