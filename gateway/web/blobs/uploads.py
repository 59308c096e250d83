"""Uploads: whole by PUT, or in parts by tus 1.0 (core, checksum, expiration, termination).

Owns the order of an upload's end: all bytes there, their type, the scanner's word, the
store, the record. A process that is killed between any two of these does the rest again
when the sender asks how far it is.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog
from starlette.requests import Request
from starlette.responses import Response

from gateway.web.blobs import receiving, tus
from gateway.web.blobs.receiving import Body
from gateway.web.blobs.refusing import Refusal, too_large
from gateway.web.blobs.scanning import Scanner, Verdict
from gateway.web.blobs.staging import Busy, Staged, Staging
from gateway.web.host import Host
from mesh.runtime.blobs import Objects, Upload
from mesh.runtime.errors import Unavailable

DONE, REJECTED = "done", "rejected"
_log = structlog.get_logger(__name__)


class Uploads:
    """All uploads that this process carries."""

    def __init__(self, host: Host, objects: Objects, staging: Staging, scanner: Scanner) -> None:
        self._host = host
        self._objects = objects
        self._staging = staging
        self._scanner = scanner
        self._under_way = 0

    async def put(self, request: Request, link: Upload) -> Response:
        """All of it at once; a repeat with the same bytes is told so, and changes nothing."""
        async with self._hold(link) as staged:
            if staged.record.outcome == DONE:
                return await _again(request, link, staged)
            _refuse_rejected(staged)
            staged.discard()
            most = link.max_bytes if link.size_bytes is None else link.size_bytes
            staged.record.length = link.size_bytes
            staged.note()
            try:
                await Body(request, staged, self._host.stopping).take(most, link.media_types)
                staged.record.length = link.size_bytes or staged.offset
                _refuse_short(staged)
                staged.note()
            except BaseException:
                # Whoever sends it whole begins anew; only parts are gone on with.
                staged.discard()
                raise
            await self._finish(link, staged)
            return Response(status_code=201, headers=_digest(staged))

    async def patch(self, request: Request, link: Upload) -> Response:
        """A part, from the offset where the last one ended."""
        asked = tus.part(request.headers)
        async with self._hold(link) as staged:
            _refuse_rejected(staged)
            if staged.record.outcome == DONE:
                if asked.offset != staged.record.length:
                    raise _elsewhere(staged.record.length or 0)
                return Response(status_code=204, headers=tus.told(link, asked.offset))
            if asked.offset != staged.offset:
                raise _elsewhere(staged.offset)
            self._note_length(link, staged, asked.length)
            await self._append(request, link, staged, asked)
            offset = staged.offset
            if offset == staged.record.length:
                await self._finish(link, staged)
            return Response(status_code=204, headers=tus.told(link, offset))

    async def head(self, link: Upload) -> Response:
        """How far it is."""
        async with self._hold(link) as staged:
            _refuse_rejected(staged)
            record = staged.record
            if record.outcome != DONE and record.length == staged.offset:
                # All came, and then somebody was killed: who asks would take it for done.
                await self._finish(link, staged)
            offset = record.length or 0 if record.outcome == DONE else staged.offset
            length = link.size_bytes if record.length is None else record.length
            headers = tus.told(link, offset) | tus.length(length)
            return Response(headers=headers | {"cache-control": "no-store"})

    async def end(self, link: Upload) -> Response:
        """Forgets a half-done upload; the link can be used again."""
        async with self._hold(link) as staged:
            if staged.record.outcome:
                raise Refusal("UPLOAD_CONFLICT", "it is over already")
            staged.discard()
            return Response(status_code=204, headers=tus.RESUMABLE)

    @asynccontextmanager
    async def _hold(self, link: Upload) -> AsyncIterator[Staged]:
        if self._host.stopping.is_set():
            raise Unavailable("this process ends; another one takes over")
        if self._under_way >= self._host.settings.blobs_most_uploads:
            raise Unavailable("as many uploads are under way as may be", retry_after_s=5)
        own = object()
        self._under_way += 1
        self._host.under_way.add(own)
        try:
            async with self._staging.hold(link.blob, link.expires_at_s) as staged:
                yield staged
        except Busy:
            detail = "somebody else is sending it"
            raise Refusal("UPLOAD_CONFLICT", detail, retry_after_s=2) from None
        finally:
            self._under_way -= 1
            self._host.under_way.discard(own)

    def _note_length(self, link: Upload, staged: Staged, told: int | None) -> None:
        """Once said, how long it is does not change."""
        record = staged.record
        known = link.size_bytes if record.length is None else record.length
        if told is not None and known is not None and told != known:
            raise Refusal("UPLOAD_CONFLICT", f"it was to have {known} bytes")
        length = told if known is None else known
        if length is not None and not staged.offset <= length <= link.max_bytes:
            raise too_large(link.max_bytes)
        if length != record.length or not staged.offset:
            record.length = length
            staged.note()

    async def _append(
        self, request: Request, link: Upload, staged: Staged, asked: tus.Part
    ) -> None:
        most = link.max_bytes if staged.record.length is None else staged.record.length
        before = staged.offset
        checksum = asked.checksum
        body = Body(request, staged, self._host.stopping)
        try:
            await body.take(most, link.media_types, checksum.hash if checksum else None)
        except Exception as error:
            # A checked part is kept whole or not at all, and so is one that is too long.
            if checksum or getattr(error, "reason", "") == "UPLOAD_TOO_LARGE":
                staged.cut(before)
            raise
        if checksum and not checksum.fits():
            staged.cut(before)
            raise Refusal("UPLOAD_DAMAGED")

    async def _finish(self, link: Upload, staged: Staged) -> None:
        receiving.check_type(staged, link.media_types)
        sha256 = await asyncio.to_thread(staged.digest)
        verdict = await self._scanner.verdict(staged.path)
        if verdict is Verdict.UNKNOWN:
            raise Unavailable("the scanner does not answer; send it again", retry_after_s=5)
        if verdict is Verdict.INFECTED:
            staged.conclude(REJECTED)
            _log.warning("upload_rejected", blob=str(link.blob))
            raise Refusal("UPLOAD_REJECTED")
        await self._objects.put(str(link.blob), staged.path)
        staged.conclude(DONE, sha256)
        _log.info("upload_done", blob=str(link.blob), bytes=staged.record.length)


async def _again(request: Request, link: Upload, staged: Staged) -> Response:
    if await receiving.digest_of(request, link.max_bytes) != staged.record.sha256:
        raise Refusal("UPLOAD_CONFLICT", "something else was sent by this link before")
    return Response(status_code=204, headers=_digest(staged))


def _digest(staged: Staged) -> dict[str, str]:
    """RFC 9530: what was kept."""
    packed = base64.b64encode(bytes.fromhex(staged.record.sha256)).decode()
    return {"repr-digest": f"sha-256=:{packed}:"}


def _refuse_rejected(staged: Staged) -> None:
    if staged.record.outcome == REJECTED:
        raise Refusal("UPLOAD_REJECTED")


def _refuse_short(staged: Staged) -> None:
    if staged.offset != staged.record.length:
        raise Refusal(
            "INVALID_FIELD", f"{staged.offset} bytes came, {staged.record.length} were to come"
        )


def _elsewhere(offset: int) -> Refusal:
    detail = f"it goes on at offset {offset}"
    return Refusal(
        "UPLOAD_CONFLICT", detail, headers={**tus.RESUMABLE, "upload-offset": str(offset)}
    )
