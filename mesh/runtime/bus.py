"""Other services' events -> handlers, at least once from the bus, once in effect.

Each worker takes leases on partitions. In a partition messages run one after
the other; a message that fails holds back its own key only, is tried again with
growing delays, and goes to the dead letters in the end. The handler's change and
the inbox row that remembers it commit together.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import structlog
from google.protobuf.message import DecodeError
from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

from mesh import policy
from mesh.runtime import calls, inbox, metrics, traces
from mesh.runtime.handler import Handler
from mesh.runtime.relay import PARTITIONS, stream
from mesh.runtime.sql import Database
from palestra.mesh.v1.event_pb2 import Event

BATCH: Final = 100
BLOCK_MS: Final = 1000
MOST_ATTEMPTS: Final = 8
FIRST_DELAY_S: Final = 0.1
LONGEST_DELAY_S: Final = 10.0
MOST_HELD_BACK: Final = 1000
_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Waiting:
    """The messages of a key whose first one failed."""

    messages: deque[tuple[bytes, Event]]
    attempts: int = 0
    retry_at: float = 0.0


@dataclass(slots=True)
class _Partition:
    """One stream that this worker consumes."""

    key: str
    handlers: dict[str, list[Handler]]
    held_back: dict[str, _Waiting] = field(default_factory=dict)

    @property
    def held_back_count(self) -> int:
        return sum(len(waiting.messages) for waiting in self.held_back.values())


class Consumer:
    """A service's side of the bus."""

    def __init__(
        self, database: Database, redis: Redis, service: str, handlers: Sequence[Handler]
    ) -> None:
        """`redis` sends no command twice by itself.

        Raises:
            ValueError: it does. A read whose answer was lost has its messages pending: read
                on, they would be passed over; after an error the pending ones come first.
        """
        retry = redis.get_retry()
        if retry is not None and retry.get_retries() > 0:
            raise ValueError("a consumer's connection must not repeat its reads")
        self._database = database
        self._redis = redis
        self._service = service
        self._handlers = handlers

    def works(self) -> Iterator[tuple[str, Callable[[], Awaitable[None]]]]:
        """The leases to seek, a stream each, and the consuming to do under them."""
        for publisher in sorted({handler.publisher for handler in self._handlers}):
            for number in range(PARTITIONS):
                key = stream(publisher, number)
                yield f"consume {key}", partial(self._consume, publisher, key)

    async def _consume(self, publisher: str, key: str) -> None:
        handlers: dict[str, list[Handler]] = {}
        for handler in self._handlers:
            if handler.publisher == publisher:
                handlers.setdefault(handler.type, []).append(handler)
        try:
            await self._join(key)
            await self._rounds(_Partition(key, handlers))
        except RedisError as error:
            _log.warning("bus_unavailable", stream=key, error=type(error).__name__)

    async def _join(self, key: str) -> None:
        try:
            await self._redis.xgroup_create(key, self._service, id="0", mkstream=True)
        except ResponseError as error:
            if "BUSYGROUP" not in str(error):
                raise

    async def _rounds(self, partition: _Partition) -> None:
        # What an earlier holder read and did not finish is pending under the same name.
        cursor = "0"
        while True:
            if partition.held_back_count < MOST_HELD_BACK:
                cursor = await self._read(partition, cursor)
            else:
                await asyncio.sleep(FIRST_DELAY_S)
            await self._retry(partition)

    async def _read(self, partition: _Partition, cursor: str) -> str:
        """Reads and handles one batch; answers where to read on: pending first, then new."""
        block = int(FIRST_DELAY_S * 1000) if partition.held_back else BLOCK_MS
        answer = await self._redis.xreadgroup(
            self._service,
            "owner",
            {partition.key: cursor},
            count=BATCH,
            block=block,
        )
        entries = _entries(answer)
        if cursor != ">" and not entries:
            return ">"
        done: list[bytes] = []
        for entry_id, fields in entries:
            event = _event(partition, entry_id, fields)
            if event is None or await self._take(partition, entry_id, event):
                done.append(entry_id)
        if done:
            await self._redis.xack(partition.key, self._service, *done)
        if cursor == ">":
            return ">"
        last: bytes = entries[-1][0]
        return last.decode()

    async def _take(self, partition: _Partition, entry_id: bytes, event: Event) -> bool:
        """Handles one message, or lets it wait behind its key; true when it is done with."""
        if event.type not in partition.handlers:
            return True
        waiting = partition.held_back.get(event.key)
        if waiting is not None:
            waiting.messages.append((entry_id, event))
            return False
        if await self._attempt(partition, event, attempts=1):
            return True
        partition.held_back[event.key] = _Waiting(
            deque([(entry_id, event)]), attempts=1, retry_at=time.monotonic() + FIRST_DELAY_S
        )
        return False

    async def _attempt(self, partition: _Partition, event: Event, attempts: int) -> bool:
        for handler in partition.handlers[event.type]:
            call = _call(event)
            calls.enter(call)
            try:
                with traces.span(call):
                    effect = await inbox.handle(self._database, handler, event)
                metrics.EVENTS.labels(handler.name, effect).inc()
            except Exception as error:
                metrics.EVENTS.labels(handler.name, "failed").inc()
                _log.warning(
                    "event_failed",
                    handler=handler.name,
                    event_id=event.id,
                    attempts=attempts,
                    error=type(error).__name__,
                    exc_info=attempts == 1,
                )
                if attempts < MOST_ATTEMPTS or not inbox.fault_of_message(error):
                    return False
                await inbox.give_up(self._database, handler, event, error, attempts)
        return True

    async def _retry(self, partition: _Partition) -> None:
        """Tries again what is due; a key whose first message is done goes on with its next."""
        for key, waiting in list(partition.held_back.items()):
            while waiting.messages and waiting.retry_at <= time.monotonic():
                entry_id, event = waiting.messages[0]
                waiting.attempts += 1
                if not await self._attempt(partition, event, waiting.attempts):
                    delay = FIRST_DELAY_S * 2.0 ** min(waiting.attempts, 10)
                    waiting.retry_at = time.monotonic() + min(delay, LONGEST_DELAY_S)
                    break
                await self._redis.xack(partition.key, self._service, entry_id)
                waiting.messages.popleft()
                waiting.attempts = 0
            if not waiting.messages:
                del partition.held_back[key]


def _entries(answer: Any) -> list[tuple[bytes, dict[bytes, bytes]]]:
    """The messages of one stream, in either of redis-py's answer shapes."""
    if not answer:
        return []
    if isinstance(answer, dict):
        return [entry for batch in answer.values() for part in batch for entry in part]
    return [entry for _, batch in answer for entry in batch]


def _event(partition: _Partition, entry_id: bytes, fields: dict[bytes, bytes]) -> Event | None:
    """The event of an entry; None where it was trimmed, or never was one."""
    if not fields:
        return None
    try:
        return Event.FromString(fields[b"e"])
    except (DecodeError, KeyError):
        # No relay wrote it. It has no key to wait for, and must not hold up those that do.
        metrics.EVENTS.labels("", "unreadable").inc()
        _log.error("event_unreadable", stream=partition.key, entry=entry_id.decode())
        return None


def _call(event: Event) -> calls.Call:
    return calls.Call(
        method=f"event:{event.type}",
        caller=policy.service_of_package(event.type.rsplit(".", 1)[0]),
        request_id=event.id,
        traceparent=event.traceparent,
    )
