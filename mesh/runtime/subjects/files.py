"""The files that a service keeps of a person, as they are."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass

from mesh.runtime.blobs import BlobGone
from mesh.runtime.subjects.subject import Piece, Reach

FILES = "files"


@dataclass(frozen=True, slots=True)
class Files:
    """Everything below the person's prefix in the store of blobs."""

    except_kinds: frozenset[str] = frozenset()
    """Kinds that are not given out: archives of what is given out already."""

    @property
    def name(self) -> str:
        """Of cursors."""
        return FILES

    async def export(self, reach: Reach, user: uuid.UUID, after: str) -> AsyncIterator[Piece]:
        """Each file, as `files/<area>/<kind>/<name>`, in the order of these names."""
        if reach.blobs.are_nowhere:
            return
        for blob in await reach.blobs.of_person(user):
            place = f"{blob.area}/{blob.kind}/{blob.name}"
            if blob.kind in self.except_kinds or place <= after:
                continue
            held = b""
            # What is deleted meanwhile was the person's to delete.
            with suppress(BlobGone):
                async for chunk in reach.blobs.chunks(blob):
                    if held:
                        yield Piece(f"{FILES}/{place}", held, "")
                    held = chunk
            # Only after the last piece there is a place to go on from.
            yield Piece(f"{FILES}/{place}", held, place)

    async def erase(self, reach: Reach, user: uuid.UUID) -> int:
        """Deletes all of them; how many there were."""
        return 0 if reach.blobs.are_nowhere else await reach.blobs.erase(user)
