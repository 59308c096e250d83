"""Calls to other services: through the mesh only, with what is left of the deadline.

Generated stubs take a `MeshChannel` as their channel. It adds the user's token,
the request id, the trace context and the developer of the current call; the contract says how
long a call may take.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

import grpc
from google.protobuf import descriptor_pool

from mesh import catalog, policy
from mesh.runtime import calls, consistency
from mesh.runtime.errors import MeshError

OPTIONS = (
    ("grpc.max_receive_message_length", 8 << 20),
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.enable_retries", 0),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),
)


class MeshChannel:
    """The one way out of a service process."""

    def __init__(self, address: str) -> None:
        self._channel = grpc.aio.insecure_channel(address, options=OPTIONS)

    def for_stubs(self) -> grpc.aio.Channel:
        """Itself, as generated stubs want it: they use the four methods below only."""
        return cast("grpc.aio.Channel", self)

    async def close(self) -> None:
        """Closes the connection."""
        await self._channel.close(None)

    def unary_unary(self, path: str, *codec: Any, **more: Any) -> Callable[..., Any]:
        """What a stub's unary method becomes."""
        send = self._channel.unary_unary(path, *codec, **more)
        longest_s = _timeout_s(path)

        def call(request: Any, timeout: float | None = None) -> Any:
            return send(request, timeout=_left_s(timeout or longest_s), metadata=_metadata())

        return call

    def unary_stream(self, path: str, *codec: Any, **more: Any) -> Callable[..., Any]:
        """What a stub's server-streaming method becomes."""
        send = self._channel.unary_stream(path, *codec, **more)

        def call(request: Any) -> Any:
            return send(request, metadata=_metadata())

        return call

    def stream_unary(self, path: str, *codec: Any, **more: Any) -> Callable[..., Any]:
        """What a stub's client-streaming method becomes."""
        send = self._channel.stream_unary(path, *codec, **more)

        def call(requests: Any = None) -> Any:
            return send(requests, metadata=_metadata())

        return call

    def stream_stream(self, path: str, *codec: Any, **more: Any) -> Callable[..., Any]:
        """What a stub's method that streams both ways becomes."""
        send = self._channel.stream_stream(path, *codec, **more)

        def call(requests: Any = None) -> Any:
            return send(requests, metadata=_metadata())

        return call


def _timeout_s(path: str) -> float:
    service, _, name = path.lstrip("/").rpartition("/")
    descriptor = descriptor_pool.Default().FindServiceByName(service).methods_by_name[name]
    rules = policy.policy_of(descriptor)
    if rules is None:
        raise ValueError(f"{path} has no policy")
    return rules.timeout_ms / 1000


def _left_s(longest_s: float) -> float:
    call = calls.current()
    if call is None or call.deadline_s is None:
        return longest_s
    left_s = call.deadline_s - asyncio.get_running_loop().time()
    if left_s <= 0:
        raise MeshError("DEADLINE_EXCEEDED")
    return min(longest_s, left_s)


def _metadata() -> tuple[tuple[str, str], ...]:
    call = calls.current()
    if call is None:
        return ()
    pairs = (
        ("authorization", call.token),
        ("x-request-id", call.request_id),
        ("traceparent", call.traceparent),
        (catalog.DEVELOPER_HEADER, call.developer),
        (catalog.CONSISTENCY_HEADER, consistency.header(call.consistency)),
    )
    return tuple((key, value) for key, value in pairs if value)
