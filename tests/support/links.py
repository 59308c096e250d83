"""Links as a service would sign them, for tests of what the edge makes of them.

Owns the content that tests send: of a known type, and any size.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path

from mesh.runtime.blobs import INCOMING, BlobName, Blobs, BlobSettings, Download, Links, Upload
from mesh.runtime.blobs.secrets import KeyFile
from mesh.runtime.ids import user_id, uuid7
from tests.support.whole_stack import WholeStack

PNG, FIT = "image/png", "application/vnd.ant.fit"
_SIGNATURES = {PNG: b"\x89PNG\r\n\x1a\n", FIT: b"\x0e\x10\xd9\x07\0\0\0\0.FIT"}


def content(size: int, kind: str = FIT, seed: int = 1) -> bytes:
    """So many bytes of what looks like a kind."""
    head = _SIGNATURES[kind]
    return head + random.Random(seed).randbytes(size - len(head))


@dataclass(frozen=True, slots=True)
class Desk:
    """Somebody who holds the keys."""

    stack: WholeStack
    service: str = "identity"
    user: uuid.UUID = field(default_factory=lambda: user_id(0))

    @property
    def links(self) -> Links:
        """What signs."""
        return Links(KeyFile(self.stack.places.blob_keys))

    def write(self, blob: BlobName, written: bytes) -> None:
        """Past the edge."""
        asyncio.run(self.blobs.write(blob, written))

    def stored(self, blob: BlobName) -> bytes:
        """Past the edge."""
        return asyncio.run(self.blobs.read(blob, 1 << 30))

    def staged(self, blob: BlobName) -> Path:
        """Where its bytes wait while it is sent."""
        return self.staging / hashlib.sha256(str(blob).encode()).hexdigest()[:40]

    def keeps(self, blob: BlobName) -> bool:
        """Whether anything is left of it, whole or half-done."""
        whole = self.stack.places.blobs / "objects" / str(blob)
        return whole.exists() or self.staged(blob).exists()

    @property
    def blobs(self) -> Blobs:
        """The service's own access, past the edge."""
        url = (self.stack.places.blobs / "objects").as_uri()
        return Blobs(self.service, BlobSettings(self.stack.places.blob_keys, url))

    @property
    def staging(self) -> Path:
        """Where uploads wait."""
        return self.stack.places.blobs / "staging"

    def name(self, area: str = INCOMING) -> BlobName:
        """A new name."""
        return BlobName(area, self.service, self.user, "file", str(uuid7()))

    def upload(
        self,
        blob: BlobName | None = None,
        *,
        most: int = 1 << 20,
        types: tuple[str, ...] = (FIT,),
        for_s: int = 600,
        size: int | None = None,
    ) -> str:
        """Where to send."""
        until_s = int(time.time()) + for_s
        return self.links.upload(Upload(blob or self.name(), until_s, most, types, size)).uri

    def download(self, blob: BlobName, name: str = "", *, inline: bool = False) -> str:
        """Where to read."""
        until_s = int(time.time()) + 600
        return self.links.download(Download(blob, until_s, name, inline, fresh_s=60)).uri
