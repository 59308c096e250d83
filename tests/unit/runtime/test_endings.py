"""How streams over REST end: always with an event that says so, whatever happens."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import uuid
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
import pytest_asyncio

from mesh import policy
from mesh.runtime import Call, calls, endings
from mesh.runtime.errors import MeshError
from palestra.training.v1 import activity_service_pb2 as pb
from palestra.training.v1 import tracker_service_pb2
from tests.support import mesh_calls, standin_services
from tests.support.made_tokens import Signer
from tests.support.standin_services import PROOF

SIGNER = Signer("a-key")
USER = uuid.uuid4()
SERVICE = pb.DESCRIPTOR.services_by_name["ActivityService"]
WATCH = policy.method_of(SERVICE.methods_by_name["WatchActivity"])
NEWS = pb.WatchActivityResponse(update=pb.LiveUpdate(elapsed_s=1))
FINISHED = pb.WatchActivityResponse(ended=pb.WatchEnded(reason=pb.WATCH_END_FINISHED))
NOTHING: list[pb.WatchActivityResponse] = []
Method = Callable[[], AsyncIterator[Any]]


async def _keys() -> list[Any]:
    return [SIGNER.public]


class Watched:
    """A server whose WatchActivity does what a test tells it."""

    def __init__(self, channel: grpc.aio.Channel, told: dict[str, Method]) -> None:
        self._channel = channel
        self._told = told

    def does(self, method: Method) -> None:
        self._told["method"] = method

    def call(self, lifetime_s: int = 900) -> Any:
        token = SIGNER.token(USER, ["activities.read"], lifetime_s=lifetime_s)
        request = pb.WatchActivityRequest(name="users/me/activities/1")
        return self._channel.unary_stream(WATCH.path, None, pb.WatchActivityResponse.FromString)(
            request.SerializeToString(),
            metadata=mesh_calls.headers(PROOF, "edge", token),
            timeout=20,
        )

    async def seen(self, lifetime_s: int = 900) -> tuple[list[pb.WatchActivityResponse], str]:
        """Every event, and the status: `OK`, or a code with its reason."""
        events: list[pb.WatchActivityResponse] = []
        try:
            async for event in self.call(lifetime_s):
                events += [event]
        except grpc.aio.AioRpcError as error:
            return events, mesh_calls.refusal(error)
        return events, "OK"


@pytest_asyncio.fixture
async def watched() -> AsyncIterator[Watched]:
    folder = Path(tempfile.mkdtemp(prefix="pal-"))
    told: dict[str, Method] = {}

    async def watch(self: Any, request: pb.WatchActivityRequest, call: Call) -> AsyncIterator[Any]:
        async for event in told["method"]():
            yield event

    watch.__annotations__ = {"request": pb.WatchActivityRequest}
    servicer = standin_services.standin(SERVICE)
    setattr(type(servicer), "WatchActivity", watch)  # noqa: B010
    server, address = await standin_services.serve(folder, [servicer], _keys)
    async with mesh_calls.channel(address) as channel:
        yield Watched(channel, told)
    await server.drain(0, 0)
    shutil.rmtree(folder)


async def _fails(error: Exception) -> AsyncIterator[Any]:
    yield NEWS
    raise error


@pytest.mark.parametrize(
    ("error", "reason", "outcome"),
    [
        (ZeroDivisionError("secret"), pb.WATCH_END_FAILED, "INTERNAL/UNEXPECTED"),
        (MeshError("NOT_OWNER"), pb.WATCH_END_FAILED, "PERMISSION_DENIED/NOT_OWNER"),
        (MeshError("UNAVAILABLE"), pb.WATCH_END_RESUMABLE, "UNAVAILABLE/UNAVAILABLE"),
        (MeshError("OVERLOADED"), pb.WATCH_END_RESUMABLE, "RESOURCE_EXHAUSTED/OVERLOADED"),
    ],
    ids=lambda each: type(each).__name__ if isinstance(each, Exception) else str(each),
)
async def test_an_error_in_the_middle_is_the_last_event_and_the_status(
    watched: Watched, error: Exception, reason: int, outcome: str
) -> None:
    watched.does(lambda: _fails(error))
    (first, last), status = await watched.seen()
    assert (first, status) == (NEWS, outcome)
    assert last.ended.reason == reason
    assert mesh_calls.reason_of(last.ended.error) == outcome.partition("/")[2]
    assert "secret" not in str(last)


async def test_an_error_before_the_first_event_is_a_refusal_alone(watched: Watched) -> None:
    async def refuses() -> AsyncIterator[Any]:
        for event in NOTHING:
            yield event
        raise MeshError("NOT_OWNER")

    watched.does(refuses)
    assert await watched.seen() == ([], "PERMISSION_DENIED/NOT_OWNER")


async def test_a_method_that_says_its_end_is_not_talked_over(watched: Watched) -> None:
    async def says() -> AsyncIterator[Any]:
        yield NEWS
        yield FINISHED.SerializeToString()

    watched.does(says)
    assert await watched.seen() == ([NEWS, FINISHED], "OK")


async def test_an_error_after_the_last_event_adds_none(watched: Watched) -> None:
    async def stumbles() -> AsyncIterator[Any]:
        yield FINISHED
        raise ZeroDivisionError

    watched.does(stumbles)
    assert await watched.seen() == ([FINISHED], "INTERNAL/UNEXPECTED")


@pytest.mark.parametrize("events", [[], [NEWS]], ids=["nothing", "news"])
async def test_a_method_that_forgets_its_end_has_one(
    watched: Watched, events: list[pb.WatchActivityResponse]
) -> None:
    async def forgets() -> AsyncIterator[Any]:
        for event in events:
            yield event

    watched.does(forgets)
    seen, status = await watched.seen()
    assert (seen[:-1], status) == (events, "OK")
    assert seen[-1] == pb.WatchActivityResponse(ended=pb.WatchEnded())


async def test_a_token_that_ends_is_a_resumable_end(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls, "AFTER_EXPIRY_S", 0.2)

    async def waits() -> AsyncIterator[Any]:
        yield NEWS
        await asyncio.sleep(60)

    watched.does(waits)
    seen, status = await watched.seen(lifetime_s=1)
    assert status == "UNAUTHENTICATED/TOKEN_EXPIRED"
    assert [each.WhichOneof("event") for each in seen] == ["update", "ended"]
    assert seen[-1].ended.reason == pb.WATCH_END_RESUMABLE
    assert mesh_calls.reason_of(seen[-1].ended.error) == "TOKEN_EXPIRED"


async def test_silence_is_filled_with_heartbeats_and_talk_is_not(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endings, "HEARTBEAT_S", 0.3)

    async def talks_then_waits() -> AsyncIterator[Any]:
        for _ in range(8):
            yield NEWS
            await asyncio.sleep(0.05)
        await asyncio.sleep(0.8)
        yield FINISHED

    watched.does(talks_then_waits)
    seen, status = await watched.seen()
    kinds = [str(each.WhichOneof("event")) for each in seen]
    assert status == "OK"
    assert kinds[:8] == ["update"] * 8
    assert kinds[-1] == "ended"
    assert set(kinds[8:-1]) == {"heartbeat"}
    assert 1 <= len(kinds[8:-1]) <= 3


async def test_a_client_that_leaves_leaves_no_heartbeat_behind(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endings, "HEARTBEAT_S", 0.05)
    closed = asyncio.Event()

    async def waits() -> AsyncIterator[Any]:
        try:
            yield NEWS
            await asyncio.sleep(60)
        finally:
            closed.set()

    watched.does(waits)
    call = watched.call()
    assert await call.read() == NEWS
    call.cancel()
    await asyncio.wait_for(closed.wait(), 5)
    async with asyncio.timeout(5):
        while any("Told.beat" in str(task.get_coro()) for task in asyncio.all_tasks()):
            await asyncio.sleep(0.01)


def test_only_streams_that_rest_reads_have_endings() -> None:
    tracker = tracker_service_pb2.DESCRIPTOR.services_by_name["TrackerService"]
    ingest = policy.method_of(tracker.methods_by_name["IngestTelemetry"])
    get = policy.method_of(SERVICE.methods_by_name["GetActivity"])
    assert endings.endings_of(WATCH) is not None
    assert endings.endings_of(ingest) is None
    assert endings.endings_of(get) is None
