"""The aggregated discovery service (ADS) over grpc.aio: state of the world, and incremental.

Owns the streams: one queue each, fed by the request reader and by changes;
only the handler writes. What is said is `session`'s and `delta`'s.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import grpc
import structlog
from envoy_data_plane.envoy.service.discovery.v3 import (
    DeltaDiscoveryRequest,
    DeltaDiscoveryResponse,
    DiscoveryRequest,
    DiscoveryResponse,
)

from mesh.control.delta import DeltaSession
from mesh.control.record import Record
from mesh.control.session import Session

_SERVICE = "envoy.service.discovery.v3.AggregatedDiscoveryService"
_MAX_WAITING = 256
_MAX_MESSAGE_BYTES = 16 << 20
_log = structlog.get_logger("mesh.control")

# Either protocol's; a stream has one or the other, throughout.
_Request = DiscoveryRequest | DeltaDiscoveryRequest
_Response = DiscoveryResponse | DeltaDiscoveryResponse
_Session = Session | DeltaSession
_Context = grpc.aio.ServicerContext[Any, Any]
_KINDS: tuple[tuple[str, type[_Request], type[_Session]], ...] = (
    ("StreamAggregatedResources", DiscoveryRequest, Session),
    ("DeltaAggregatedResources", DeltaDiscoveryRequest, DeltaSession),
)


class Discovery:
    """Serves every connected proxy."""

    def __init__(self, record: Record) -> None:
        self._record = record
        self._changes: set[asyncio.Event] = set()

    def changed(self) -> None:
        """Wakes every stream: there is something new to push."""
        for change in self._changes:
            change.set()

    def handler(self) -> grpc.GenericRpcHandler[Any, Any]:
        """The RPC handler for a grpc.aio server."""
        methods = {name: self._method(request, session) for name, request, session in _KINDS}
        return grpc.method_handlers_generic_handler(_SERVICE, methods)

    def _method(self, request: Any, session: type[_Session]) -> Any:
        async def stream(
            requests: AsyncIterator[_Request], context: _Context
        ) -> AsyncIterator[_Response]:
            async for each in self._stream(session, requests, context):
                yield each

        return grpc.stream_stream_rpc_method_handler(
            stream, request_deserializer=request.parse, response_serializer=bytes
        )

    async def _stream(
        self, kind: type[_Session], requests: AsyncIterator[_Request], context: _Context
    ) -> AsyncIterator[_Response]:
        first = await anext(aiter(requests), None)
        if first is None:
            return
        proxy = first.node.id if first.node else ""
        if not self._record.knows(proxy):
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"no proxy {proxy!r} here")
        session = kind(proxy, self._record)
        self._record.connected(proxy, 1)
        _log.info("connected", proxy=proxy, protocol=kind.__name__)
        try:
            for answer in _answers(session, first):
                yield answer
            async for response in self._turns(session, requests):
                yield response
        finally:
            self._record.connected(proxy, -1)
            _log.info("disconnected", proxy=proxy)

    async def _turns(
        self, session: _Session, requests: AsyncIterator[_Request]
    ) -> AsyncIterator[_Response]:
        queue: asyncio.Queue[_Request | None] = asyncio.Queue(_MAX_WAITING)
        change = asyncio.Event()
        self._changes.add(change)
        tasks = [asyncio.create_task(_read(requests, queue))]
        tasks.append(asyncio.create_task(_tell(change, queue)))
        try:
            while True:
                # None is a change, or the reader's end.
                request = await queue.get()
                if request is not None:
                    _note(session, request)
                    for response in _answers(session, request):
                        yield response
                elif tasks[0].done():
                    return
                else:
                    for response in session.on_change():
                        yield response
        finally:
            self._changes.discard(change)
            for task in tasks:
                task.cancel()
            for task in tasks:
                with suppress(asyncio.CancelledError, grpc.RpcError):
                    await task


def _answers(session: _Session, request: _Request) -> list[_Response]:
    if isinstance(session, DeltaSession) and isinstance(request, DeltaDiscoveryRequest):
        return [*session.on_request(request)]
    if isinstance(session, Session) and isinstance(request, DiscoveryRequest):
        answer = session.on_request(request)
        return [answer] if answer else []
    raise TypeError("a request of the other protocol")


def _note(session: _Session, request: _Request) -> None:
    if request.error_detail:
        _log.error(
            "rejected",
            proxy=session.proxy,
            type_url=request.type_url,
            error=request.error_detail.message,
        )


async def _read(requests: AsyncIterator[_Request], queue: asyncio.Queue[_Request | None]) -> None:
    try:
        async for request in requests:
            await queue.put(request)
    finally:
        await asyncio.shield(queue.put(None))


async def _tell(change: asyncio.Event, queue: asyncio.Queue[_Request | None]) -> None:
    while True:
        await change.wait()
        change.clear()
        await queue.put(None)


async def serve(discovery: Discovery, socket: Path) -> grpc.aio.Server:
    """Starts serving on a unix socket, which is taken over where an earlier one was left."""
    server = grpc.aio.server(
        options=[
            ("grpc.max_receive_message_length", _MAX_MESSAGE_BYTES),
            ("grpc.max_send_message_length", _MAX_MESSAGE_BYTES),
        ]
    )
    server.add_generic_rpc_handlers((discovery.handler(),))
    server.add_insecure_port(f"unix:{socket}")
    await server.start()
    socket.chmod(0o600)
    return server
