"""Who writes while it is refused hears why."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from mesh.runtime import writing

CALLS = 200


class Refusing(grpc.GenericRpcHandler):  # type: ignore[type-arg]
    """Refuses at the first message, in the middle of the next ones."""

    def service(self, _: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[Any, Any]:
        return grpc.stream_stream_rpc_method_handler(self._refuse)

    async def _refuse(
        self, messages: AsyncIterator[bytes], context: grpc.aio.ServicerContext[Any, Any]
    ) -> AsyncIterator[bytes]:
        async for message in messages:
            yield message
            await context.abort(grpc.StatusCode.ABORTED, "told", (("why-bin", b"1"),))


@pytest.fixture
async def channel(tmp_path: Path) -> AsyncIterator[grpc.aio.Channel]:
    server = grpc.aio.server()
    server.add_generic_rpc_handlers([Refusing()])
    target = f"unix:{tmp_path}/s"
    server.add_insecure_port(target)
    await server.start()
    async with grpc.aio.insecure_channel(target) as opened:
        yield opened
    await server.stop(0)


async def _write_on(call: Any) -> None:
    while True:
        await writing.write(call, b"x" * 100)


async def _read_on(call: Any) -> None:
    while await call.read():
        pass


async def _refused(channel: grpc.aio.Channel) -> tuple[grpc.StatusCode, str | None, int]:
    call: Any = channel.stream_stream("/a/b", None, None)(None)
    writer = asyncio.create_task(_write_on(call))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await _read_on(call)
    with pytest.raises(asyncio.InvalidStateError):
        await writer
    told = caught.value
    return told.code(), told.details(), len(tuple(told.trailing_metadata()))


async def test_the_reason_of_a_calls_end_survives_a_message_on_its_way(
    channel: grpc.aio.Channel,
) -> None:
    found = await asyncio.gather(*(_refused(channel) for _ in range(CALLS)))
    assert set(found) == {(grpc.StatusCode.ABORTED, "told", 1)}


async def test_a_writer_that_is_cancelled_ends_the_call(channel: grpc.aio.Channel) -> None:
    call: Any = channel.stream_stream("/a/b", None, None)(None)
    await call.wait_for_connection()
    # More than anybody takes unread.
    writer = asyncio.create_task(writing.write(call, b"x" * (64 << 20)))
    await asyncio.sleep(0)
    writer.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writer
    assert call.done()
