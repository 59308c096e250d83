"""Reading blobs: whole or a range, with a tag, under headers that make them harmless.

Owns what is said of a file: its type by its own bytes, how it is saved, how long it may be
kept. At most a part of it is in memory at once.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from email.utils import format_datetime
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from gateway.web.blobs import ranges, sniffing
from gateway.web.blobs.refusing import Refusal
from mesh.runtime.blobs import Blob, BlobGone, BlobName, Download, Objects
from mesh.runtime.errors import MeshError

PUBLIC_FRESH_S = 86_400
_HARMLESS = {
    "x-content-type-options": "nosniff",
    "content-security-policy": "default-src 'none'; sandbox; frame-ancestors 'none'",
    # Pictures are shown in pages of other origins; who may have them the link says.
    "cross-origin-resource-policy": "cross-origin",
    "referrer-policy": "no-referrer",
    "accept-ranges": "bytes",
}


class Downloads:
    """Answers GET and HEAD."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    async def public(self, request: Request, blob: BlobName) -> Response:
        """What anybody may read; a name is never given to another content."""
        link = Download(blob, 0, "", inline=True)
        return await self._answer(request, link, f"public, max-age={PUBLIC_FRESH_S}, immutable")

    async def granted(self, request: Request, link: Download) -> Response:
        """What a link lets read, for no longer than it does."""
        fresh_s = max(0, min(link.fresh_s, link.expires_at_s - int(time.time())))
        kept = f"private, max-age={fresh_s}" if fresh_s else "no-store"
        return await self._answer(request, link, kept)

    async def _answer(self, request: Request, link: Download, kept: str) -> Response:
        path = str(link.blob)
        try:
            blob = await self._objects.stat(path)
            head = await self._head(blob)
        except BlobGone:
            raise MeshError("BLOB_NOT_FOUND") from None
        headers = _headers(link, blob, sniffing.media_type(head)) | {"cache-control": kept}
        if _has_it(request, blob):
            return Response(status_code=304, headers=headers)
        if request.method == "HEAD":
            return Response(headers=headers | {"content-length": str(blob.size_bytes)})
        return self._content(request, blob, headers)

    def _content(self, request: Request, blob: Blob, headers: dict[str, str]) -> Response:
        try:
            part = ranges.asked(request.headers, blob)
        except ranges.Unsatisfiable:
            said = {"content-range": f"bytes */{blob.size_bytes}"}
            detail = f"it has {blob.size_bytes} bytes"
            raise Refusal("INVALID_FIELD", detail, status=416, headers=said) from None
        start, end = part or (0, blob.size_bytes)
        headers["content-length"] = str(end - start)
        if part is not None:
            headers["content-range"] = f"bytes {start}-{end - 1}/{blob.size_bytes}"
        status = 200 if part is None else 206
        return StreamingResponse(self._stream(blob, start, end), status, headers)

    async def _stream(self, blob: Blob, start: int, end: int) -> AsyncIterator[bytes]:
        if start < end:
            async for chunk in self._objects.chunks(blob.path, start, end):
                yield chunk

    async def _head(self, blob: Blob) -> bytes:
        most = min(sniffing.HEAD_BYTES, blob.size_bytes)
        return b"".join([part async for part in self._stream(blob, 0, most)])


def _headers(link: Download, blob: Blob, kind: str) -> dict[str, str]:
    shown = link.inline and sniffing.may_show(kind)
    return {
        **_HARMLESS,
        "content-type": kind,
        "etag": f'"{blob.etag}"',
        "last-modified": format_datetime(blob.modified_at, usegmt=True),
        "content-disposition": _disposition(link.file_name, inline=shown),
    }


def _disposition(file_name: str, *, inline: bool) -> str:
    """RFC 6266: a plain name for the old, the whole one for all others."""
    kind = "inline" if inline else "attachment"
    if not file_name:
        return kind
    plain = "".join(
        each if each.isascii() and (each.isalnum() or each in " ._-") else "_" for each in file_name
    )
    return f"{kind}; filename=\"{plain}\"; filename*=UTF-8''{quote(file_name, safe='')}"


def _has_it(request: Request, blob: Blob) -> bool:
    known = request.headers.get("if-none-match", "")
    tags = [each.strip().removeprefix("W/") for each in known.split(",")]
    return f'"{blob.etag}"' in tags or known.strip() == "*"
