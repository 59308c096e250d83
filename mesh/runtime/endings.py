"""The last word of a stream that REST can read, and the signs of life before it.

Over REST an error in the middle of a stream looks like its end. So the contract gives
such a stream's answers an `ended` event (`mesh.policy.ending_of`), and here it is
filled in whatever happens to the method. Decides what is resumable; never says an
end that the method said itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

from google.protobuf import message_factory
from google.protobuf.message import Message
from google.rpc import code_pb2, status_pb2

from mesh import policy
from mesh.runtime import wire

HEARTBEAT_S: Final = 15.0
"""The longest silence of a stream: proxies on the way close what says nothing."""
LAST_WORD_S: Final = 5.0
"""How long a client that reads nothing is waited for with the last event."""
# To be asked again says more than the error does: with a fresh token, or in a moment.
_PASSING: Final = frozenset(
    {code_pb2.UNAVAILABLE, code_pb2.UNAUTHENTICATED, code_pb2.RESOURCE_EXHAUSTED}
)


class Endings:
    """How one method's streams end, as its contract lets it be said."""

    def __init__(self, method: policy.Method, ending: policy.Ending) -> None:
        self._ending = ending
        self._answer = message_factory.GetMessageClass(method.descriptor.output_type)

    def failed(self, status: status_pb2.Status) -> bytes:
        """The last event of a stream that an error ended."""
        answer: Any = self._answer()
        passing = status.code in _PASSING
        ended = getattr(answer, policy.ENDED)
        ended.reason = self._ending.resumable if passing else self._ending.failed
        ended.error.CopyFrom(status)
        return bytes(answer.SerializeToString())

    def unsaid(self) -> bytes:
        """The last event of a stream whose method said no more than that it was over."""
        return wire.embed(self._ending.ended, [b""])

    def heartbeat(self) -> bytes:
        """What is sent while nothing else is."""
        answer: Any = self._answer()
        beat = getattr(answer, policy.HEARTBEAT)
        beat.time.GetCurrentTime()
        return bytes(answer.SerializeToString())

    def is_last(self, response: Message | bytes | None) -> bool:
        """Whether the response is the `ended` event."""
        if response is None:
            return False
        if isinstance(response, bytes):
            response = self._answer.FromString(response)
        return response.HasField(policy.ENDED)


def endings_of(method: policy.Method) -> Endings | None:
    """The endings of a method that streams to REST; None for all others."""
    ending = policy.ending_of(method.descriptor.output_type)
    if not method.http or not method.descriptor.server_streaming or ending is None:
        return None
    return Endings(method, ending)


class Told:
    """What one stream's client was told: never silent for long, never without a last word."""

    def __init__(self, endings: Endings | None, write: Callable[[Any], Awaitable[None]]) -> None:
        self._endings = endings
        self._write = write
        # gRPC takes one message at a time.
        self._speaking = asyncio.Lock()
        self._last: Message | bytes | None = None
        self._began = False
        self._spoke_s = asyncio.get_running_loop().time()

    async def say(self, response: Message | bytes) -> None:
        """Sends a message of the method's."""
        async with self._speaking:
            await self._write(response)
        self._last, self._began = response, True
        self._spoke_s = asyncio.get_running_loop().time()

    async def beat(self) -> None:
        """Sends a heartbeat wherever nothing was sent for a while, until cancelled."""
        if self._endings is None:
            return
        loop = asyncio.get_running_loop()
        while True:
            left_s = self._spoke_s + HEARTBEAT_S - loop.time()
            if left_s > 0:
                await asyncio.sleep(left_s)
            elif self._endings.is_last(self._last):
                return
            else:
                await self._heartbeat(self._endings)

    async def _heartbeat(self, endings: Endings) -> None:
        async with self._speaking:
            await self._write(endings.heartbeat())
        self._began = True
        self._spoke_s = asyncio.get_running_loop().time()

    async def finish(self) -> None:
        """Says that it is over, where the method did not."""
        if self._endings is not None and not self._endings.is_last(self._last):
            async with self._speaking:
                await self._write(self._endings.unsaid())

    async def fail(self, status: status_pb2.Status) -> None:
        """Says why it is over; nothing before the first event, when the status alone does."""
        if self._endings is None or not self._began or self._endings.is_last(self._last):
            return
        async with asyncio.timeout(LAST_WORD_S), self._speaking:
            await self._write(self._endings.failed(status))
