"""`/blobs/v1/…`: which link, which verb.

Owns the reading of the link before anything else. A link is never logged: it opens a door.
"""

from __future__ import annotations

from collections.abc import Sequence

import structlog
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from gateway.web.blobs import cleaning, refusing, tus
from gateway.web.blobs.downloads import Downloads
from gateway.web.blobs.scanning import Scanner
from gateway.web.blobs.staging import Staging
from gateway.web.blobs.uploads import Uploads
from gateway.web.host import Host
from mesh.runtime.blobs import (
    PAGE,
    PUBLIC,
    BlobName,
    Download,
    KeyFile,
    Links,
    Objects,
    Upload,
)
from mesh.runtime.blobs.names import parse
from mesh.runtime.errors import MeshError

_VERBS = ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "POST"]
_OVERRIDE = "x-http-method-override"
_log = structlog.get_logger(__name__)


def mount(host: Host) -> Sequence[BaseRoute]:
    """The routes of blobs; none where the settings say nothing of a store.

    Raises:
        ValueError: the scanner's setting cannot be read.
    """
    told = host.settings
    if told.blobs_keys_file is None or told.blobs_staging is None or not told.blobs_url:
        return ()
    keys, objects = KeyFile(told.blobs_keys_file), Objects(told.blobs_url)
    staging = Staging(told.blobs_staging)
    scanner = Scanner(told.blobs_scan, pass_unscanned=told.blobs_pass_unscanned)
    uploads = Uploads(host, objects, staging, scanner)
    page = _Page(Links(keys), uploads, Downloads(objects))
    host.work.append(lambda: cleaning.by_the_clock(staging, objects, keys))
    return [Route(PAGE + "/{name:path}", page.answer, methods=_VERBS)]


class _Page:
    def __init__(self, links: Links, uploads: Uploads, downloads: Downloads) -> None:
        self._links = links
        self._uploads = uploads
        self._downloads = downloads

    async def answer(self, request: Request) -> Response:
        """Answers one request."""
        try:
            return await self._answer(request)
        except MeshError as error:
            return refusing.answer(error)

    async def _answer(self, request: Request) -> Response:
        verb = request.method
        if verb == "OPTIONS":
            return Response(status_code=204, headers=tus.ABOUT)
        if verb == "POST":
            # tus: for those whose network knows no other verbs.
            verb = request.headers.get(_OVERRIDE, verb).upper()
        path = request.url.path
        if verb in ("GET", "HEAD") and (blob := _public(path)):
            return await self._downloads.public(request, blob)
        link = self._links.read(verb, path, request.url.query)
        if isinstance(link, Download):
            return await self._downloads.granted(request, link)
        return await self._upload(verb, request, link)

    async def _upload(self, verb: str, request: Request, link: Upload) -> Response:
        if verb == "HEAD":
            return await self._uploads.head(link)
        if verb == "DELETE":
            tus.check_version(request.headers)
            return await self._uploads.end(link)
        send = self._uploads.put if verb == "PUT" else self._uploads.patch
        try:
            return await send(request, link)
        except ClientDisconnect:
            # Nobody hears it; what came is there for when he comes back.
            _log.info("upload_cut", blob=str(link.blob))
            return Response(status_code=499)


def _public(path: str) -> BlobName | None:
    try:
        blob = parse(path)
    except ValueError:
        return None
    return blob if blob.area == PUBLIC else None
