"""Every request to the process passes here: proof of the edge, errors, counting.

Owns the refusal of what did not come through the edge and the masking of what nobody
foresaw. Tokens and limits are the edge's to check, before.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

import structlog
from starlette.responses import Response

from gateway import pages
from gateway.web import refusals
from mesh import catalog
from mesh.runtime import metrics
from mesh.runtime.errors import MeshError
from mesh.runtime.proof import PROOF_HEADER, Proof

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEALTH = "/healthz"
_PROOF = PROOF_HEADER.encode()
_log = structlog.get_logger(__name__)


class Gate:
    """The outermost application of the process."""

    def __init__(self, app: ASGIApp, proof: Proof, pages_served: Iterable[pages.Page]) -> None:
        self._app = app
        self._proof = proof
        self._pages = tuple(pages_served)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request, or carries one WebSocket."""
        # The supervisor and the edge ask how it is, and show nothing.
        if scope["type"] == "lifespan" or scope["path"] == HEALTH:
            await self._app(scope, receive, send)
            return
        begun, told = time.perf_counter(), _Told(send)
        try:
            self._proof.caller({PROOF_HEADER: _header(scope, _PROOF)})
            await self._app(scope, receive, told.send)
        except MeshError as error:
            await _answer(refusals.response(error), scope, receive, told)
        except Exception as error:
            name = self._name(scope["path"])
            metrics.UNEXPECTED.labels(name).inc()
            _log.error("unexpected_error", path=name, exc_info=error)
            await _answer(refusals.response(error), scope, receive, told)
        finally:
            self._count(scope, told.status, time.perf_counter() - begun)

    def _name(self, path: str) -> str:
        """What is below a page is as many as people ask for: none has a name of its own."""
        return next((page.path for page in self._pages if page.serves(path)), "unknown")

    def _count(self, scope: Scope, status: int, took_s: float) -> None:
        name = self._name(scope["path"])
        code = str(status)
        metrics.REQUESTS.labels("destination", catalog.EDGE, catalog.WEB, name, code).inc()
        if scope["type"] == "http":
            metrics.DURATIONS.labels(catalog.WEB, name).observe(took_s * 1000)


class _Told:
    """Remembers what the client was told so far."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.status = 0
        """0 as long as nothing was said."""

    async def send(self, message: Message) -> None:
        kind = message["type"]
        if kind in ("http.response.start", "websocket.http.response.start"):
            self.status = message["status"]
        elif kind == "websocket.accept":
            self.status = 101
        elif kind == "websocket.close" and not self.status:
            self.status = 403
        await self._send(message)


async def _answer(response: Response, scope: Scope, receive: Receive, told: _Told) -> None:
    """Tells the client, unless it is too late: then the connection's end tells it."""
    if not told.status:
        # Starlette's responses know how a WebSocket is denied.
        await response(scope, receive, told.send)


def _header(scope: Scope, name: bytes) -> str:
    found = [value for key, value in scope["headers"] if key == name]
    # Two would be an attempt to be believed by one of them.
    return found[0].decode("latin-1") if len(found) == 1 else ""
