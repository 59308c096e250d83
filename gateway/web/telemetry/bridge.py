"""Carries one session between a WebSocket and a call of StreamTelemetry.

Decides when it ends, and what the device is told last. One message each way is held at a
time: who does not read on is not sent to, and the other side then is not read.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from starlette.websockets import WebSocketDisconnect

from gateway.web.telemetry import closing, frames
from gateway.web.telemetry.closing import Closing
from gateway.web.telemetry.frames import Kind
from gateway.web.telemetry.line import Line, LineClosed, LineFailed

if TYPE_CHECKING:
    from starlette.websockets import WebSocket

SEND_WITHIN_S: Final = 30.0
"""A device that takes nothing for so long is gone."""
FINISH_WITHIN_S: Final = 4.0
"""For what the device sent to become durable once it says no more."""


class DeviceGone(Exception):
    """Nobody is there any more to be told anything."""


class Bridge:
    """One session."""

    def __init__(self, websocket: WebSocket, line: Line, kind: Kind | None) -> None:
        self._websocket = websocket
        self._line = line
        self._kind = kind
        self._stopping = False
        self._listening: asyncio.Timeout | None = None
        self._deaf = False
        self.carried = 0
        """Messages from the device so far."""

    async def run(self) -> Closing | None:
        """Carries until the end; how the device is to be told, None where it is gone."""
        device = asyncio.create_task(self._from_device())
        service = asyncio.create_task(self._to_device())
        try:
            await asyncio.wait({device, service}, return_when=asyncio.FIRST_COMPLETED)
            if not service.done():
                return await self._after(device, service)
            return _end_of(service)
        finally:
            self._line.cancel()
            device.cancel()
            service.cancel()
            await asyncio.gather(device, service, return_exceptions=True)

    def stop(self) -> None:
        """This process ends: nothing more is heard, what was heard is answered."""
        self._stopping = True
        if self._listening is not None and not self._listening.expired():
            self._listening.reschedule(asyncio.get_running_loop().time())

    async def _after(
        self, device: asyncio.Task[None], service: asyncio.Task[None]
    ) -> Closing | None:
        """The device's side has ended first; integration's ends soon after."""
        fault = device.exception()
        # Whoever cannot be understood, or is gone, is told no more answers.
        self._deaf = fault is not None and not isinstance(fault, LineClosed)
        await self._line.done()
        await asyncio.wait({service}, timeout=FINISH_WITHIN_S)
        if isinstance(fault, DeviceGone):
            return None
        if fault is not None and not isinstance(fault, LineClosed):
            return closing.of_error(_expected(fault))
        if self._stopping:
            return closing.of_restart() if not _is_told(service) else _end_of(service)
        return _end_of(service)

    async def _from_device(self) -> None:
        """Raises DeviceGone, MeshError where a frame cannot be read, LineClosed."""
        await self._line.admitted()
        while not self._stopping:
            frame = await self._next_frame()
            if frame is None:
                return
            self._kind = self._kind or frames.kind_of(frame)
            await self._line.write(frames.read(frame))
            self.carried += 1

    async def _next_frame(self) -> str | bytes | None:
        """The device's next frame; None where this process ends."""
        try:
            async with asyncio.timeout(None) as self._listening:
                message = await self._websocket.receive()
        except TimeoutError:
            return None
        finally:
            self._listening = None
        if message["type"] == "websocket.disconnect":
            raise DeviceGone
        text: str | None = message.get("text")
        binary: bytes | None = message.get("bytes")
        return text if text is not None else (binary or b"")

    async def _to_device(self) -> None:
        """Raises DeviceGone, LineFailed."""
        while (answer := await self._line.read()) is not None:
            if not self._deaf:
                await self.send(frames.write(answer, self.kind))

    @property
    def kind(self) -> Kind:
        """How the device is answered."""
        return self._kind or Kind.JSON

    async def send(self, frame: str | bytes) -> None:
        """Sends a frame to the device.

        Raises:
            DeviceGone: it is not there, or takes nothing.
        """
        try:
            async with asyncio.timeout(SEND_WITHIN_S):
                if isinstance(frame, str):
                    await self._websocket.send_text(frame)
                else:
                    await self._websocket.send_bytes(frame)
        except (WebSocketDisconnect, RuntimeError, OSError, TimeoutError) as error:
            raise DeviceGone from error


def _end_of(service: asyncio.Task[None]) -> Closing | None:
    """What the end of the call means for the device."""
    if not service.done():
        return closing.of_error(TimeoutError())
    fault = service.exception()
    if fault is None:
        return closing.ENDED
    if isinstance(fault, DeviceGone):
        return None
    if isinstance(fault, LineFailed):
        return closing.of_status(fault.status)
    return closing.of_error(_expected(fault))


def _is_told(service: asyncio.Task[None]) -> bool:
    """Whether the call's own end says more than that this process ends."""
    return service.done() and service.exception() is not None


def _expected(fault: BaseException) -> Exception:
    if not isinstance(fault, Exception):
        raise fault
    return fault
