"""One bridged session between a device and a service of the test's own."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any, cast

import pytest
from google.rpc import code_pb2, status_pb2

from gateway.web.telemetry import bridge as bridging
from gateway.web.telemetry.bridge import Bridge
from gateway.web.telemetry.frames import Kind
from gateway.web.telemetry.line import Line, LineClosed, LineFailed
from palestra.integration.v1 import telemetry_service_pb2 as pb

if TYPE_CHECKING:
    from starlette.websockets import WebSocket

    from gateway.web.telemetry.closing import Closing

ACK = pb.StreamTelemetryResponse(ack=pb.Ack(seq=5)).SerializeToString()
LIMIT_S = 5.0
GONE: dict[str, Any] = {"type": "websocket.disconnect", "code": 1001}


class Device:
    """A WebSocket whose other end the test is."""

    def __init__(self) -> None:
        self.frames: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.got: list[str | bytes] = []
        self.listens = asyncio.Event()
        self.listens.set()

    def say(self, frame: str) -> None:
        self.frames.put_nowait({"type": "websocket.receive", "text": frame})

    async def receive(self) -> dict[str, Any]:
        return await self.frames.get()

    async def send_text(self, frame: str) -> None:
        await self.listens.wait()
        self.got.append(frame)

    async def send_bytes(self, frame: bytes) -> None:
        await self.listens.wait()
        self.got.append(frame)


class Service:
    """A call whose other end the test is."""

    def __init__(self) -> None:
        self.got: list[bytes] = []
        self.answers: deque[bytes | LineFailed | None] = deque()
        self.asked = 0
        self.reads_on = asyncio.Event()
        self.reads_on.set()
        self.half_closed = False
        self.cancelled = False
        self._more = asyncio.Event()

    def answer(self, *answers: bytes | LineFailed | None) -> None:
        self.answers.extend(answers)
        self._more.set()

    async def admitted(self) -> None:
        return

    async def write(self, message: bytes) -> None:
        await self.reads_on.wait()
        if self.cancelled:
            raise LineClosed
        self.got.append(message)

    async def done(self) -> None:
        self.half_closed = True
        # As integration does: what is under way is answered, and it ends.
        self.answer(None)

    async def read(self) -> bytes | None:
        self.asked += 1
        while not self.answers:
            self._more.clear()
            await self._more.wait()
        answer = self.answers.popleft()
        if isinstance(answer, LineFailed):
            raise answer
        return answer

    def cancel(self) -> None:
        self.cancelled = True


class Session:
    def __init__(self, kind: Kind | None = Kind.JSON) -> None:
        self.device, self.service = Device(), Service()
        websocket, line = cast("WebSocket", self.device), cast("Line", self.service)
        self.bridge = Bridge(websocket, line, kind)
        self.task = asyncio.create_task(self.bridge.run())

    async def end(self) -> Closing | None:
        async with asyncio.timeout(LIMIT_S):
            return await self.task


async def settled() -> None:
    """Everything that can go on without the test has."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_messages_go_both_ways_and_the_services_end_is_a_plain_close() -> None:
    session = Session()
    session.device.say('{"renew": {"accessToken": "x"}}')
    session.service.answer(ACK)
    await settled()
    assert session.service.got == [b"\x22\x03\x0a\x01x"]
    assert session.device.got == ['{"ack":{"seq":"5"}}']
    session.service.answer(None)
    end = await session.end()
    assert end is not None
    assert (end.code, end.status) == (1000, None)


async def test_answers_are_written_as_the_first_frame_was_where_nothing_was_agreed() -> None:
    session = Session(kind=None)
    session.device.frames.put_nowait({"type": "websocket.receive", "bytes": b""})
    await settled()
    session.service.answer(ACK, None)
    await session.end()
    assert session.device.got == [ACK]


async def test_a_refusal_of_the_service_is_the_last_word() -> None:
    session = Session()
    status = status_pb2.Status(code=code_pb2.PERMISSION_DENIED, message="no")
    session.service.answer(LineFailed(status))
    end = await session.end()
    assert end is not None
    assert (end.code, end.status) == (4403, status)


async def test_a_device_that_does_not_listen_is_not_answered_further() -> None:
    session = Session()
    session.device.listens.clear()
    session.service.answer(*[ACK] * 1000)
    await settled()
    # One is being sent; the rest stays where it is bounded, with the service.
    assert session.service.asked == 1
    session.device.listens.set()
    session.service.answer(None)
    await session.end()
    assert len(session.device.got) == 1000


async def test_a_device_that_takes_nothing_for_long_is_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bridging, "SEND_WITHIN_S", 0.05)
    session = Session()
    session.device.listens.clear()
    session.service.answer(ACK)
    assert await session.end() is None
    assert session.service.cancelled


async def test_a_service_that_does_not_read_on_is_not_sent_more() -> None:
    session = Session()
    session.service.reads_on.clear()
    for _ in range(100):
        session.device.say("{}")
    await settled()
    assert session.device.frames.qsize() == 99
    assert session.bridge.carried == 0
    session.service.reads_on.set()
    await settled()
    assert session.bridge.carried == 100
    session.service.answer(None)
    await session.end()


async def test_what_was_sent_before_a_device_left_is_finished() -> None:
    session = Session()
    session.device.say("{}")
    session.device.frames.put_nowait(GONE)
    assert await session.end() is None
    assert session.service.got == [b""]
    assert session.service.half_closed


async def test_a_frame_that_cannot_be_read_ends_the_session_after_what_came_before() -> None:
    session = Session()
    session.device.say("{}")
    session.device.say("garbage")
    session.device.say("{}")
    end = await session.end()
    assert end is not None
    assert (end.code, end.reason) == (4400, "INVALID_FIELD")
    assert session.service.got == [b""]
    assert session.service.half_closed
    assert session.device.got == []


async def test_when_the_process_ends_what_was_heard_is_answered_and_the_rest_goes_elsewhere() -> (
    None
):
    session = Session()
    session.device.say("{}")
    await settled()
    session.service.answer(ACK)
    session.bridge.stop()
    session.device.say("{}")
    end = await session.end()
    assert end is not None
    assert (end.code, end.reason) == (1012, "UNAVAILABLE")
    assert session.service.got == [b""]
    assert session.device.got == ['{"ack":{"seq":"5"}}']


async def test_a_service_that_never_ends_does_not_keep_an_ending_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bridging, "FINISH_WITHIN_S", 0.05)
    monkeypatch.setattr(Service, "done", Service.admitted)
    session = Session()
    await settled()
    session.bridge.stop()
    end = await session.end()
    assert end is not None
    assert end.code == 1012
    assert session.service.cancelled


async def test_an_unforeseen_fault_is_masked(monkeypatch: pytest.MonkeyPatch) -> None:
    session = Session()
    session.service.answer(b"\xff\xff")
    end = await session.end()
    assert end is not None
    assert (end.code, end.reason) == (4500, "UNEXPECTED")
