"""Where blobs lie: any store that obstore knows, a folder on one machine, S3 elsewhere.

Owns what a service may do with blobs. A name is written once and never with another
content, so that what is read is whole, and may be cached. The store is opened at its
first use; its library is loaded then.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from mesh.runtime.blobs.links import Download, Grant, Links, Upload
from mesh.runtime.blobs.names import AREAS, INCOMING, BlobName
from mesh.runtime.blobs.secrets import KeyFile
from mesh.runtime.errors import Unavailable
from mesh.runtime.ids import uuid7

if TYPE_CHECKING:
    from obstore.store import ObjectStore

CHUNK_BYTES = 256 << 10
MOST_OF_A_PERSON = 10_000
_PAGE = 500


class BlobGone(Exception):
    """There is no such blob."""


class BlobTooLarge(Exception):
    """It has more bytes than the reader would take."""


@dataclass(frozen=True, slots=True)
class BlobSettings:
    """From `PALESTRA_BLOBS_…`."""

    keys_file: Path
    """Holds the keys that sign links."""
    url: str
    """`file:///folder`, `s3://bucket/prefix` and whatever else obstore opens."""
    site: str = ""
    """What links begin with, `https://api.example`; they are paths where it is empty."""


@dataclass(frozen=True, slots=True)
class Blob:
    """What the store says of a blob."""

    path: str
    size_bytes: int
    etag: str
    modified_at: datetime


class Objects:
    """The store itself, for those who carry bytes."""

    def __init__(self, url: str) -> None:
        self._url = url

    @property
    def is_given(self) -> bool:
        """Whether there is any."""
        return bool(self._url)

    @cached_property
    def _store(self) -> ObjectStore:
        from obstore.store import from_url

        if self._url.startswith("file:"):
            return from_url(self._url, mkdir=True, automatic_cleanup=True)
        return from_url(self._url)

    async def stat(self, path: str) -> Blob:
        """What is there.

        Raises:
            BlobGone, Unavailable
        """
        import obstore

        with _told():
            found = await obstore.head_async(self._store, path)
        modified_at = found["last_modified"]
        etag = found["e_tag"] or f"{found['size']}-{modified_at.timestamp()}"
        return Blob(path, found["size"], etag.strip('"'), modified_at)

    async def chunks(self, path: str, start: int, end: int) -> AsyncIterator[bytes]:
        """The bytes from `start` to before `end`, a part at a time.

        Raises:
            BlobGone, Unavailable
        """
        import obstore

        with _told():
            found = await obstore.get_async(
                self._store, path, options={"range": (start, max(end, start + 1))}
            )
            async for chunk in found.stream(CHUNK_BYTES):
                yield bytes(chunk)

    async def put(self, path: str, content: bytes | Path) -> None:
        """Writes all of it, or nothing that anybody sees."""
        import obstore

        with _told():
            await obstore.put_async(
                self._store, path, content, chunk_size=5 << 20, max_concurrency=2
            )

    async def move(self, source: str, target: str) -> None:
        """Gives it another name; at once where the store can."""
        import obstore

        with _told():
            await obstore.rename_async(self._store, source, target)

    async def copy(self, source: str, target: str) -> None:
        """Gives it a second name."""
        import obstore

        with _told():
            await obstore.copy_async(self._store, source, target)

    async def delete(self, path: str) -> None:
        """Removes it; what is gone already is no error."""
        import obstore

        with suppress(BlobGone), _told():
            await obstore.delete_async(self._store, path)

    async def below(self, prefix: str, most: int) -> list[Blob]:
        """What lies below a prefix, at most so many."""
        import obstore

        found: list[Blob] = []
        with _told():
            async for page in obstore.list(self._store, f"{prefix}/", chunk_size=_PAGE):
                found += [
                    Blob(each["path"], each["size"], each["e_tag"] or "", each["last_modified"])
                    for each in page
                ]
                if len(found) >= most:
                    break
        return found[:most]

    async def pages(self, prefix: str) -> AsyncIterator[list[str]]:
        """The paths of all that lies below a prefix, however much, some hundreds at a time."""
        import obstore

        with _told():
            async for page in obstore.list(self._store, f"{prefix}/", chunk_size=_PAGE):
                yield [each["path"] for each in page]


@contextmanager
def _told() -> Iterator[None]:
    """The store's errors in our words."""
    from obstore.exceptions import BaseError, NotFoundError

    try:
        yield
    except (NotFoundError, FileNotFoundError) as error:
        raise BlobGone from error
    except (BaseError, OSError) as error:
        raise Unavailable("the store of blobs does not answer") from error


class Blobs:
    """The blobs of one service."""

    def __init__(
        self, service: str, told: BlobSettings, clock: Callable[[], float] = time.time
    ) -> None:
        self._service = service
        self._clock = clock
        self._links = Links(KeyFile(told.keys_file, clock), told.site, clock)
        self._objects = Objects(told.url)

    def name(self, user: uuid.UUID, kind: str, area: str = INCOMING, name: str = "") -> BlobName:
        """A name; a new one where none is given."""
        return BlobName(area, self._service, user, kind, name or str(uuid7()))

    def grant_upload(
        self,
        blob: BlobName,
        media_types: tuple[str, ...],
        *,
        max_bytes: int,
        for_s: int,
        size_bytes: int | None = None,
    ) -> Grant:
        """A link by which `blob` can be sent, once."""
        if blob.area != INCOMING:
            raise ValueError(f"people send to {INCOMING} only, not to {blob}")
        until_s = int(self._clock()) + for_s
        return self._links.upload(Upload(blob, until_s, max_bytes, media_types, size_bytes))

    def grant_download(
        self,
        blob: BlobName,
        *,
        for_s: int,
        file_name: str = "",
        inline: bool = False,
        fresh_s: int = 0,
    ) -> Grant:
        """A link by which `blob` can be read."""
        until_s = int(self._clock()) + for_s
        return self._links.download(Download(blob, until_s, file_name, inline, fresh_s))

    def public_uri(self, blob: BlobName) -> str:
        """Where anybody reads a public blob."""
        return self._links.public(blob)

    async def stat(self, blob: BlobName) -> Blob:
        """What the store says of it.

        Raises:
            BlobGone, Unavailable
        """
        return await self._objects.stat(str(blob))

    async def read(self, blob: BlobName, max_bytes: int) -> bytes:
        """All of it.

        Raises:
            BlobGone, BlobTooLarge, Unavailable
        """
        found = await self.stat(blob)
        if found.size_bytes > max_bytes:
            raise BlobTooLarge(f"{found.size_bytes} bytes, {max_bytes} would do")
        parts = [part async for part in self._objects.chunks(str(blob), 0, found.size_bytes)]
        return b"".join(parts)

    async def write(self, blob: BlobName, content: bytes) -> None:
        """Writes what the service itself made."""
        await self._objects.put(str(blob), content)

    async def keep(self, blob: BlobName, area: str) -> BlobName:
        """Takes what was sent out of the place that is emptied every day.

        Raises:
            BlobGone: it never came whole, or was not taken in time.
        """
        kept = blob.within(area)
        await self._objects.move(str(blob), str(kept))
        return kept

    async def copy(self, source: BlobName, target: BlobName) -> None:
        """Gives a blob a second name.

        Raises:
            BlobGone, Unavailable
        """
        await self._objects.copy(str(source), str(target))

    async def delete(self, *blobs: BlobName) -> None:
        """Removes them; what is gone already is no error."""
        for blob in blobs:
            await self._objects.delete(str(blob))

    async def of_kind(self, user: uuid.UUID, kind: str, area: str, most: int = _PAGE) -> list[str]:
        """The names of a person's blobs of a kind, at most so many."""
        found = await self._objects.below(f"{area}/{self._service}/{user}/{kind}", most)
        return [each.path.rpartition("/")[2] for each in found]

    @property
    def objects(self) -> Objects:
        """The store itself, for what is no person's."""
        return self._objects

    @property
    def are_nowhere(self) -> bool:
        """Whether this process was given no store."""
        return not self._objects.is_given

    async def of_person(self, user: uuid.UUID) -> list[BlobName]:
        """All that this service keeps of a person, in the order of their names.

        Raises:
            BlobTooLarge: there are more than 10,000 in an area.
        """
        found: list[BlobName] = []
        for area in AREAS:
            held = await self._objects.below(f"{area}/{self._service}/{user}", MOST_OF_A_PERSON + 1)
            if len(held) > MOST_OF_A_PERSON:
                raise BlobTooLarge(f"more than {MOST_OF_A_PERSON} files in {area}")
            found += [
                BlobName(area, self._service, user, *each.path.split("/")[-2:]) for each in held
            ]
        return sorted(found, key=str)

    async def chunks(self, blob: BlobName) -> AsyncIterator[bytes]:
        """All of it, a part at a time.

        Raises:
            BlobGone, Unavailable
        """
        size_bytes = (await self.stat(blob)).size_bytes
        if size_bytes:
            async for chunk in self._objects.chunks(str(blob), 0, size_bytes):
                yield chunk

    async def write_file(self, blob: BlobName, content: Path) -> None:
        """Writes what the service itself made, of any size, from a file."""
        await self._objects.put(str(blob), content)

    async def erase(self, user: uuid.UUID) -> int:
        """Removes all that this service keeps of a person; how much that was."""
        erased = 0
        for area in AREAS:
            while found := await self._objects.below(f"{area}/{self._service}/{user}", _PAGE):
                for each in found:
                    await self._objects.delete(each.path)
                erased += len(found)
        return erased
