"""The application of the process: who mounts what in it.

Owns the list of mounts and the health page. A package that wants to serve pages adds
its paths to `gateway.pages` and its `Mount` here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway import pages
from gateway.web import blobs, docs, oauth, refusals, strict, telemetry
from gateway.web.gate import HEALTH, Gate
from gateway.web.host import Host, Mount
from mesh.runtime.errors import MeshError
from mesh.runtime.proof import Proof

if TYPE_CHECKING:
    from starlette.types import ASGIApp

MOUNTS: tuple[Mount, ...] = (telemetry.mount, strict.mount, docs.mount, blobs.mount, oauth.mount)


def build(host: Host, mounts: tuple[Mount, ...] = MOUNTS) -> ASGIApp:
    """The application, with all that is mounted, behind the gate.

    Raises:
        ValueError: the proof's file is empty.
        OSError: it cannot be read.
    """
    routes = [route for mount in mounts for route in mount(host)]
    app = Starlette(
        routes=[_health(host), *routes],
        # Starlette raises the last kind again, for the gate to log and count.
        exception_handlers={
            HTTPException: _of_routing,
            MeshError: _in_our_words,
            Exception: _in_our_words,
        },
    )
    # A trailing slash is another path, at the edge as well.
    app.router.redirect_slashes = False
    return Gate(app, Proof(host.settings.mesh_proof_file), pages.PAGES)


def _health(host: Host) -> Route:
    """For the supervisor and the edge: 200 as long as new requests should come."""

    async def health(_: Request) -> Response:
        return Response(status_code=503 if host.leaving.is_set() else 200)

    return Route(HEALTH, health)


async def _of_routing(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return refusals.of_routing(error.status_code, error.headers, error.detail)


async def _in_our_words(_: Request, error: Exception) -> Response:
    return refusals.response(error)
