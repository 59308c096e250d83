"""Calls to a worker's own socket, with what the node proxy would add, and what they answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import grpc
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from mesh import catalog, policy
from mesh.runtime import writing
from mesh.runtime.proof import PEER_HEADER, PROOF_HEADER
from tests.support.grpc_errors import status_details

LIMIT_S = 10.0
Headers = tuple[tuple[str, str], ...]


def headers(proof: str, caller: str | None, token: str = "") -> Headers:
    """The metadata of a call; without proof and peer where the caller is None."""
    found = []
    if caller is not None:
        peer = f"Hash=0f;URI={catalog.spiffe_id(caller)}" if caller else "Hash=0f;URI="
        found += [(PROOF_HEADER, proof), (PEER_HEADER, peer)]
    if token:
        found.append(("authorization", f"Bearer {token}"))
    return tuple(found)


@asynccontextmanager
async def channel(address: str) -> AsyncIterator[grpc.aio.Channel]:
    """A channel of its own, closed at the end."""
    async with grpc.aio.insecure_channel(address) as opened:
        yield opened


async def call(
    to: grpc.aio.Channel, method: policy.Method, request: Message, metadata: Headers
) -> bytes:
    """Calls a method of any kind; gives the first answer.

    Raises:
        grpc.aio.AioRpcError: it was refused.
    """
    packed = request.SerializeToString()
    if method.descriptor.client_streaming:
        both: Any = to.stream_stream(method.path, None, None)(
            None, metadata=metadata, timeout=LIMIT_S
        )
        with suppress(asyncio.InvalidStateError):
            await writing.write(both, packed)
            await both.done_writing()
        return await _first(both)
    if method.descriptor.server_streaming:
        down = to.unary_stream(method.path, None, None)(packed, metadata=metadata, timeout=LIMIT_S)
        return await _first(down)
    answer: bytes = await to.unary_unary(method.path, None, None)(
        packed, metadata=metadata, timeout=LIMIT_S
    )
    return answer


async def _first(answers: Any) -> bytes:
    found = [answer async for answer in answers]
    assert len(found) == 1
    answer: bytes = found[0]
    return answer


def status_of(error: grpc.aio.AioRpcError) -> status_pb2.Status:
    """The google.rpc.Status that came with a refusal."""
    packed = status_details(error)
    assert packed is not None, f"{error.code()} came without details: {error.details()}"
    return status_pb2.Status.FromString(packed)


def infos(error: grpc.aio.AioRpcError) -> list[error_details_pb2.ErrorInfo]:
    """Every ErrorInfo among the details of a refusal."""
    found = []
    for detail in status_of(error).details:
        info = error_details_pb2.ErrorInfo()
        if detail.Unpack(info):
            found.append(info)
    return found


def reason_of(status: status_pb2.Status) -> str:
    """The reason of a status's one ErrorInfo."""
    info = error_details_pb2.ErrorInfo()
    (reason,) = [str(info.reason) for detail in status.details if detail.Unpack(info)]
    return reason


async def outcome(
    to: grpc.aio.Channel, method: policy.Method, request: Message, metadata: Headers
) -> str:
    """`OK`, or code and reason as in the access table."""
    try:
        await call(to, method, request, metadata)
    except grpc.aio.AioRpcError as error:
        return refusal(error)
    return "OK"


def refusal(error: grpc.aio.AioRpcError) -> str:
    """`CODE/REASON` of a refusal, which has exactly one ErrorInfo and the same code twice."""
    (info,) = infos(error)
    assert status_of(error).code == error.code().value[0]
    return f"{error.code().name}/{info.reason}"
