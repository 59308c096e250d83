"""The documentation at `/docs`: a page, what it is made of, and what it gives away.

Owns how they are served: all of it from here, with a tag, under a policy that lets a
browser load and call nothing but this edge. The page's own files are in `pages/`, the
documents beside the compiled contract.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from gateway import pages
from gateway.downloads import DOCUMENT, MEDIA_TYPES
from gateway.web.host import Host
from mesh.runtime.errors import MeshError

FOLDER = Path(__file__).parent / "pages"
_PAGE = "index.html"
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    # A page of yesterday with a document of today would not do.
    "cache-control": "no-cache",
}


@dataclass(frozen=True, slots=True)
class _File:
    content: bytes
    media_type: str
    tag: str
    attached: str = ""
    """The name to save it under; empty where it is looked at."""


def mount(host: Host) -> Sequence[BaseRoute]:
    """The page below `/docs`, and where tools look for the document first."""
    files = {path.name: _read(path, _TYPES[path.suffix]) for path in FOLDER.iterdir()}
    built = host.settings.contract.parent

    async def page(request: Request) -> Response:
        return _answer(request, files[_PAGE])

    async def file(request: Request) -> Response:
        name = request.path_params["name"]
        if name in MEDIA_TYPES and name not in files:
            files[name] = _built(built / name)
        if name not in files:
            raise HTTPException(404)
        return _answer(request, files[name])

    async def document(_: Request) -> Response:
        return RedirectResponse(f"{pages.DOCS.path}/{DOCUMENT}", headers=HEADERS)

    return (
        Route(pages.DOCS.path, page),
        Route(f"{pages.DOCS.path}/{{name}}", file),
        Route(pages.DOCUMENT.path, document),
    )


def _read(path: Path, media_type: str, attached: str = "") -> _File:
    content = path.read_bytes()
    tag = f'"{hashlib.sha256(content).hexdigest()[:24]}"'
    return _File(content, media_type, tag, attached)


def _built(path: Path) -> _File:
    if not path.is_file():
        raise MeshError("UNAVAILABLE", f"{path.name} was not built: make protos")
    # The document is for reading in the browser as well.
    attached = "" if path.name == DOCUMENT else path.name
    return _read(path, MEDIA_TYPES[path.name], attached)


def _answer(request: Request, file: _File) -> Response:
    headers = {**HEADERS, "etag": file.tag}
    known = request.headers.get("if-none-match", "").replace("W/", "").split(",")
    if file.tag in [each.strip() for each in known]:
        return Response(status_code=304, headers=headers)
    if file.attached:
        headers["content-disposition"] = f'attachment; filename="{file.attached}"'
    return Response(file.content, media_type=file.media_type, headers=headers)
