"""A request's body into the staging file: as it comes, no more of it in memory than a part.

Owns the bounds while it comes: how much, how long a silence. What came before a cut stays,
so that its sender can go on from there.
"""

from __future__ import annotations

import asyncio
import hashlib
import shutil
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from starlette.requests import ClientDisconnect, Request

from gateway.web.blobs import refusing, sniffing
from gateway.web.blobs.refusing import Refusal
from gateway.web.blobs.staging import Staged
from mesh.runtime.errors import Unavailable

if TYPE_CHECKING:
    from hashlib import _Hash

WRITE_BYTES = 256 << 10
SILENCE_S = 30.0
SPARE_BYTES = 256 << 20
"""Left free on the disk, whatever people send."""


class Body:
    """The body of one request, on its way into one upload."""

    def __init__(self, request: Request, staged: Staged, stopping: asyncio.Event) -> None:
        self._request = request
        self._staged = staged
        self._stopping = stopping

    async def take(
        self, most: int, allowed: tuple[str, ...], checksum: _Hash | None = None
    ) -> None:
        """Appends the body to the upload, which then has at most `most` bytes.

        Raises:
            Refusal: UPLOAD_TOO_LARGE, UPLOAD_TYPE_REFUSED, DEADLINE_EXCEEDED.
            ClientDisconnect: the sender went away.
            Unavailable: this process ends, or the disk is full.
        """
        self._refuse_beforehand(most)
        size, pending = self._staged.offset, bytearray()
        known = size >= sniffing.HEAD_BYTES
        try:
            async for chunk in self._chunks():
                size += len(chunk)
                if size > most:
                    raise refusing.too_large(most)
                pending += chunk
                if checksum is not None:
                    checksum.update(chunk)
                if len(pending) >= WRITE_BYTES or (not known and size >= sniffing.HEAD_BYTES):
                    await self._write(pending)
                    known = known or await self._is_allowed(allowed)
        except (ClientDisconnect, Refusal, Unavailable):
            # A part that was to be checked as a whole is sent again as a whole.
            if checksum is None:
                await self._write(pending)
            raise
        await self._write(pending)

    def _refuse_beforehand(self, most: int) -> None:
        told = self._request.headers.get("content-length", "")
        comes = int(told) if told.isdecimal() else 0
        if self._staged.offset + comes > most:
            raise refusing.too_large(most)
        if shutil.disk_usage(self._staged.path.parent).free < comes + SPARE_BYTES:
            raise Unavailable("there is no room for uploads now", retry_after_s=60)

    async def _chunks(self) -> AsyncIterator[bytes]:
        body = self._request.stream()
        while True:
            try:
                async with asyncio.timeout(SILENCE_S):
                    chunk = await anext(body, None)
            except TimeoutError:
                raise Refusal("DEADLINE_EXCEEDED", f"nothing came for {SILENCE_S:.0f} s") from None
            if chunk is None:
                return
            yield chunk
            if self._stopping.is_set():
                raise Unavailable("this process ends; go on with another one")

    async def _write(self, pending: bytearray) -> None:
        if not pending:
            return
        content = bytes(pending)
        pending.clear()
        await asyncio.to_thread(self._staged.append, content)

    async def _is_allowed(self, allowed: tuple[str, ...]) -> bool:
        check_type(self._staged, allowed)
        return True


def check_type(staged: Staged, allowed: tuple[str, ...]) -> str:
    """What the upload is by its first bytes.

    Raises:
        Refusal: UPLOAD_TYPE_REFUSED where the link does not allow it; nothing is kept.
    """
    found = sniffing.media_type(staged.head(sniffing.HEAD_BYTES))
    if found not in allowed:
        staged.discard()
        raise Refusal(
            "UPLOAD_TYPE_REFUSED", f"its content is {found}; {', '.join(allowed)} can be sent here"
        )
    return found


async def digest_of(request: Request, most: int) -> str:
    """SHA-256 of a body that is not kept.

    Raises:
        Refusal: UPLOAD_TOO_LARGE
    """
    digest, size = hashlib.sha256(), 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > most:
            raise refusing.too_large(most)
        digest.update(chunk)
    return digest.hexdigest()
