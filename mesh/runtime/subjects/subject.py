"""What a subject is: some of the things that a service keeps of a person."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from mesh.runtime.blobs import Blobs
from mesh.runtime.sql import Database, Session


@dataclass(frozen=True, slots=True)
class Reach:
    """Where a service's things are."""

    service: str
    database: Database
    blobs: Blobs


class Piece(NamedTuple):
    """A piece of a file of an archive."""

    file: str
    """Below the service's folder: `devices.jsonl`, `samples/{activity}.json`."""
    content: bytes
    cursor: str
    """Where to go on after it; empty inside of a record, where nobody can."""


class Subject(Protocol):
    """Some of the things that a service keeps of a person.

    Both are called again after a cut: an export goes on after the cursor of the last piece
    that was kept, and an erasure erases what is left.
    """

    @property
    def name(self) -> str:
        """Unique among the service's; part of cursors."""

    @property
    def tables(self) -> frozenset[str]:
        """The tables that it covers, whole."""

    def export(self, reach: Reach, user: uuid.UUID, after: str) -> AsyncIterator[Piece]:
        """Everything of the person, in an order that stays; `after` is of a piece, or empty.

        Times are ISO 8601 in UTC, units are in the names.

        Raises:
            ValueError: `after` is no cursor of this subject.
        """

    async def erase(
        self, reach: Reach, session: Session, user: uuid.UUID, most: int
    ) -> Mapping[str, int]:
        """Erases at most `most` rows of each table, on `session`; how many, by table.

        Nothing is left of a table of which there were fewer.
        """
