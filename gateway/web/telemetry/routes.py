"""`/ws/v1/telemetry`: from the handshake to the close frame.

Owns the bound on sessions and the order of the end: last frame, close frame.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.websockets import WebSocketDisconnect

from gateway import pages
from gateway.web import refusals
from gateway.web.host import Host
from gateway.web.telemetry import frames, handshake
from gateway.web.telemetry.bridge import Bridge, DeviceGone
from mesh import catalog
from mesh.runtime import metrics
from mesh.runtime.errors import MeshError, Unavailable

if TYPE_CHECKING:
    from starlette.websockets import WebSocket

    from gateway.web.telemetry.closing import Closing
    from gateway.web.telemetry.handshake import Opening

_CARRIED: Final = (
    *("x-request-id", "traceparent"),
    *(catalog.DEVELOPER_HEADER, catalog.CONSISTENCY_HEADER),
)
_log = structlog.get_logger(__name__)


def mount(host: Host) -> Sequence[BaseRoute]:
    """The route of the telemetry line."""
    line = TelemetryLine(host)
    path = pages.TELEMETRY.path
    return [WebSocketRoute(path, line.serve), Route(path, _no_page)]


async def _no_page(_: Request) -> Response:
    answer = refusals.response(MeshError("INVALID_FIELD", "open a WebSocket here"), 426)
    answer.headers.update({"upgrade": "websocket", "connection": "upgrade"})
    return answer


class TelemetryLine:
    """All sessions of this process."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._origins = host.settings.origins
        self._bridges: set[Bridge] = set()
        self._watch: asyncio.Task[None] | None = None

    async def serve(self, websocket: WebSocket) -> None:
        """Answers one handshake, and carries the session."""
        try:
            opening = self._opening(websocket)
        except MeshError as error:
            await websocket.send_denial_response(refusals.response(error))
            return
        with suppress(WebSocketDisconnect):
            await websocket.accept(subprotocol=opening.subprotocol)
            await self._carry(websocket, opening)

    def _opening(self, websocket: WebSocket) -> Opening:
        headers = websocket.headers
        handshake.check_origin(headers.get("origin", ""), self._origins)
        opening = handshake.read(
            websocket.scope.get("subprotocols", ()), headers.get("authorization", "")
        )
        if self._host.stopping.is_set():
            raise Unavailable("this process ends; another one takes over")
        if len(self._bridges) >= self._host.settings.web_most_sessions:
            raise Unavailable("this process carries as many sessions as it may", retry_after_s=5)
        return opening

    async def _carry(self, websocket: WebSocket, opening: Opening) -> None:
        # The call's libraries are loaded when the first device comes.
        from gateway.web.telemetry.line import Line

        if self._watch is None:
            self._watch = asyncio.create_task(self._end_all_when_stopping())
        headers = websocket.headers
        metadata = (
            ("authorization", f"Bearer {opening.token}"),
            *((name, headers[name]) for name in _CARRIED if name in headers),
        )
        bridge = Bridge(websocket, Line(self._host.mesh, metadata), opening.kind)
        under_way = metrics.STREAMS.labels(pages.TELEMETRY.path)
        self._bridges.add(bridge)
        self._host.under_way.add(bridge)
        under_way.inc()
        begun_s = time.monotonic()
        try:
            end = await bridge.run()
            await _close(websocket, bridge, end)
        finally:
            self._bridges.discard(bridge)
            self._host.under_way.discard(bridge)
            under_way.dec()
        _log.info(
            "session_carried",
            code=end.code if end else None,
            reason=end.reason if end else "gone",
            messages=bridge.carried,
            seconds=round(time.monotonic() - begun_s, 1),
        )

    async def _end_all_when_stopping(self) -> None:
        await self._host.stopping.wait()
        for bridge in list(self._bridges):
            bridge.stop()


async def _close(websocket: WebSocket, bridge: Bridge, end: Closing | None) -> None:
    """The last frame, where there is more to say, and the close frame."""
    if end is None:
        return
    if end.reason == "UNEXPECTED":
        metrics.UNEXPECTED.labels(pages.TELEMETRY.path).inc()
    with suppress(DeviceGone, WebSocketDisconnect, RuntimeError):
        if end.status is not None:
            await bridge.send(frames.error(end.status, bridge.kind))
        await websocket.close(end.code, end.reason)
