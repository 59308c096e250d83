"""The gRPC server of a process: the contract's methods, health, reflection, drain."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, get_type_hints

import grpc
from google.protobuf import message_factory
from google.protobuf.descriptor import Descriptor, MethodDescriptor, ServiceDescriptor
from google.protobuf.message import DecodeError, Message
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1._async import HealthServicer
from grpc_reflection.v1alpha import reflection

from mesh import policy
from mesh.runtime import errors
from mesh.runtime.gate import Gate, Unary

MOST_CALLS = 20_000
LARGEST_MESSAGE = 8 << 20
OPTIONS = (
    ("grpc.so_reuseport", 0),
    ("grpc.max_receive_message_length", LARGEST_MESSAGE),
    ("grpc.max_send_message_length", LARGEST_MESSAGE),
    # More than the edge lets through and the mesh adds: what is too large is refused there,
    # in the contract's words.
    ("grpc.max_metadata_size", 64 << 10),
    ("grpc.absolute_max_metadata_size", 96 << 10),
    # Of a stream whose method does not read it no more than this is taken in. gRPC would
    # widen its windows to megabytes a stream for distances that a unix socket does not have.
    ("grpc.http2.bdp_probe", 0),
    ("grpc.http2.lookahead_bytes", 64 << 10),
    # gRPC would hold back its answers to what is no good by up to a second, beyond most deadlines:
    # a refusal would look like a service that hangs. Who asks too often is the edge's to slow.
    ("grpc.http.tarpit", 0),
    # The node proxy keeps its connections; it may ping them as often as it likes.
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
)
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


class Servicer(Protocol):
    """What `rpc.py` declares: a service of the contract, and a method for each of its RPCs.

    Unary: `async def GetX(self, request: GetXRequest, call: Call) -> GetXResponse`.
    Streaming: an async generator; both ways, its `request` is an async iterator.
    REPEAT_STORED, beside the method: `async def MakeXAgain(self, reference: str, call: Call)`
    makes the answer anew from what the store's `repeats.remembering` was given.
    """

    CONTRACT: ServiceDescriptor


class DeclarationError(Exception):
    """A servicer does not implement its contract; says which method and why."""


def handlers_of(servicer: Servicer, gate: Gate) -> Mapping[str, Any]:
    """The gRPC handlers of a servicer, by path.

    Raises:
        DeclarationError: an RPC is missing, or its request type is not the contract's.
    """
    found = {}
    for descriptor in servicer.CONTRACT.methods:
        method = policy.method_of(descriptor)
        run = getattr(servicer, descriptor.name, None)
        if run is None:
            raise DeclarationError(f"{type(servicer).__name__} lacks {descriptor.full_name}")
        _check_request_type(servicer, descriptor.name, descriptor.input_type, method)
        if method.policy.repeat == policy.STORED:
            run = _once(servicer, descriptor, run, gate)
        found[method.path] = _handler(method, run, gate)
    return found


def _check_request_type(
    servicer: Servicer, name: str, wanted: Descriptor, method: policy.Method
) -> None:
    if method.descriptor.client_streaming:
        return
    hint = get_type_hints(getattr(type(servicer), name)).get("request")
    if getattr(hint, "DESCRIPTOR", None) is not wanted:
        raise DeclarationError(f"{type(servicer).__name__}.{name} does not take {wanted.name}")


def _once(servicer: Servicer, descriptor: MethodDescriptor, run: Unary, gate: Gate) -> Unary:
    again = getattr(servicer, f"{descriptor.name}Again", None)
    if again is None or gate.repeats is None:
        lacking = "a database" if again is not None else f"{descriptor.name}Again"
        raise DeclarationError(f"{descriptor.full_name} is REPEAT_STORED and lacks {lacking}")
    return gate.repeats.once(run, again)


def _handler(method: policy.Method, run: Any, gate: Gate) -> Any:
    descriptor = method.descriptor
    codec: dict[str, Any] = {
        "request_deserializer": _parser(message_factory.GetMessageClass(descriptor.input_type)),
        "response_serializer": _serialise,
    }
    if descriptor.client_streaming and descriptor.server_streaming:
        return grpc.stream_stream_rpc_method_handler(gate.streaming(method, run), **codec)
    if descriptor.client_streaming:
        raise DeclarationError(f"{descriptor.full_name}: streams go both ways or from the server")
    # Declared as streams of requests, at no cost: gRPC would leave a call whose only message
    # is cut off without any answer until its deadline.
    if descriptor.server_streaming:
        answer = _of_one(gate.streaming(method, run))
        return grpc.stream_stream_rpc_method_handler(answer, **codec)
    return grpc.stream_unary_rpc_method_handler(_of_one(gate.unary(method, run)), **codec)


def _of_one(handle: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """A handler that is given the first request; None where none came whole."""

    async def of_one(requests: AsyncIterator[Any], context: Any) -> Any:
        async for request in requests:
            return await handle(request, context)
        return await handle(None, context)

    return of_one


def _parser(kind: type[Message]) -> Callable[[bytes], Message | None]:
    def parse(packed: bytes) -> Message | None:
        try:
            return kind.FromString(packed)
        except DecodeError:
            # gRPC would answer in its own words; the gate refuses it in the contract's.
            return None

    return parse


def _serialise(response: Message | bytes) -> bytes:
    # A method may answer with what is stored serialised; see mesh.runtime.wire.
    return response if isinstance(response, bytes) else response.SerializeToString()


class _Handlers(grpc.GenericRpcHandler):  # type: ignore[type-arg] # generic in the stubs only
    def __init__(self, handlers: Mapping[str, Any]) -> None:
        self._handlers = handlers

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        return self._handlers.get(handler_call_details.method)


class _Unknown(grpc.GenericRpcHandler):  # type: ignore[type-arg] # generic in the stubs only
    """Asked last: what no other handler knows is refused as every other error is."""

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:  # noqa: ARG002
        return grpc.stream_stream_rpc_method_handler(_refuse_unknown)


async def _refuse_unknown(_requests: Any, context: Any) -> None:
    status, _ = errors.status_of(errors.MeshError("METHOD_UNKNOWN"), {})
    await errors.abort(context, status)


class _Unregistered:
    """A server whose methods are found by their names, those of generated code too.

    For each that is registered, grpc.aio waits apart, and begins all these waits anew with
    every call of any method.
    """

    def __init__(self, server: grpc.aio.Server) -> None:
        self._server = server

    def add_generic_rpc_handlers(self, handlers: Sequence[Any]) -> None:
        self._server.add_generic_rpc_handlers(handlers)

    def add_registered_method_handlers(self, service: str, handlers: Any) -> None:
        """They are among the others already."""


class Server:
    """Serves the contract's methods on one address."""

    def __init__(
        self,
        address: str,
        servicers: Iterable[Servicer],
        gate: Gate,
        stopping: asyncio.Event | None = None,
    ) -> None:
        """`stopping` is set when calls under way have their grace left and no more."""
        self._address = address
        self._stopping = stopping or asyncio.Event()
        self._server = grpc.aio.server(options=OPTIONS, maximum_concurrent_rpcs=MOST_CALLS)
        self._health = HealthServicer()
        names = []
        handlers: dict[str, Any] = {}
        for servicer in servicers:
            handlers.update(handlers_of(servicer, gate))
            names.append(servicer.CONTRACT.full_name)
        self._server.add_generic_rpc_handlers((_Handlers(handlers),))
        unregistered: Any = _Unregistered(self._server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, unregistered)
        reflection.enable_server_reflection([*names, reflection.SERVICE_NAME], unregistered)
        self._server.add_generic_rpc_handlers((_Unknown(),))

    async def start(self) -> None:
        """Binds, serves, and says so.

        Raises:
            RuntimeError: the address cannot be bound.
        """
        if self._address.startswith("unix:"):
            Path(self._address.removeprefix("unix:")).unlink(missing_ok=True)
        self._server.add_insecure_port(self._address)
        await self._server.start()
        await self._health.set("", SERVING)

    async def drain(self, drain_s: float, grace_s: float) -> None:
        """Says NOT_SERVING, lets callers turn elsewhere, finishes what is under way."""
        await self._health.set("", NOT_SERVING)
        await asyncio.sleep(drain_s)
        # Not earlier: a stream that ended while callers still come here would come back.
        self._stopping.set()
        await self._server.stop(grace_s)
