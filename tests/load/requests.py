"""Scenarios of requests that are answered once, over REST and over gRPC."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import grpc

from palestra.training.v1 import activity_service_pb2 as pb
from palestra.training.v1.activity_service_pb2_grpc import ActivityServiceStub
from palestra_client import open_channel
from tests.load.closed_loop import Bounds, Call, closed_loop
from tests.load.figures import Tally
from tests.load.http1 import Connection, request
from tests.load.session import Refused
from tests.load.world import Person, Tokens, World

CALLERS = 4
TIMEOUT_S = 10.0
Load = Callable[[Bounds], Awaitable[Tally]]
Paths = Callable[[World], str]


def _loop(callers: Sequence[Call]) -> Load:
    async def load(bounds: Bounds) -> Tally:
        return await closed_loop(callers, bounds)

    return load


@asynccontextmanager
async def idle(_world: World) -> AsyncIterator[Load]:
    """Nobody asks for anything: what the stack costs by itself, for each second."""

    async def load(bounds: Bounds) -> Tally:
        await asyncio.sleep(bounds.seconds)
        return Tally(units=max(1, round(bounds.seconds)))

    yield load


async def _connection(world: World, opened: AsyncExitStack, peer: str = "") -> Connection:
    port = world.peers[peer] if peer else world.stack.port
    connection = await Connection.open("127.0.0.1", port)
    opened.callback(connection.close)
    return connection


def _repeating(connection: Connection, packed: bytes) -> Call:
    async def call() -> bool:
        return (await connection.ask(packed)).status == 200

    return call


def get(
    path: Paths,
    *,
    signed_in: bool = True,
    peer: str = "",
    by: Callable[[World], Person] = lambda world: world.reader,
) -> Any:
    """A GET, again and again; of a form of the peer where one is named."""

    @asynccontextmanager
    async def ready(world: World) -> AsyncIterator[Load]:
        token = (await by(world).sign_in()).access if signed_in else ""
        packed = request("GET", path(world), host=world.stack.target, token=token)
        async with AsyncExitStack() as opened:
            connections = [await _connection(world, opened, peer) for _ in range(CALLERS)]
            yield _loop([_repeating(each, packed) for each in connections])

    return ready


@asynccontextmanager
async def login(world: World) -> AsyncIterator[Load]:
    """Signing in with a password."""
    body = world.reader.credentials()
    packed = request("POST", "/v1/auth:login", host=world.stack.target, body=body)
    async with AsyncExitStack() as opened:
        connections = [await _connection(world, opened) for _ in range(CALLERS)]
        yield _loop([_repeating(each, packed) for each in connections])


@asynccontextmanager
async def refresh(world: World) -> AsyncIterator[Load]:
    """Each caller follows the chain of its own session."""

    def following(connection: Connection, tokens: Tokens) -> Call:
        newest = tokens.refresh

        async def call() -> bool:
            nonlocal newest
            body = {"refreshToken": newest}
            packed = request("POST", "/v1/auth:refresh", host=world.stack.target, body=body)
            answer = await connection.ask(packed)
            if answer.status != 200:
                return False
            newest = answer.json()["refreshToken"]
            return True

        return call

    async with AsyncExitStack() as opened:
        yield _loop(
            [
                following(await _connection(world, opened), await world.reader.sign_in())
                for _ in range(CALLERS)
            ]
        )


def grpc_call(ask: Callable[[ActivityServiceStub], Any], message: Callable[[World], Any]) -> Any:
    """A unary call, again and again, all callers on one connection."""

    @asynccontextmanager
    async def ready(world: World) -> AsyncIterator[Load]:
        metadata = (await world.reader.sign_in()).metadata
        asked = message(world)
        channel = open_channel(world.stack.target)
        method = ask(ActivityServiceStub(channel))

        async def call() -> bool:
            try:
                await method(asked, metadata=metadata, timeout=TIMEOUT_S)
            except grpc.RpcError:
                return False
            return True

        try:
            yield _loop([call] * CALLERS)
        finally:
            await channel.close(None)

    return ready


def get_hour(world: World) -> pb.GetActivityRequest:
    """The activity of 1 hour."""
    return pb.GetActivityRequest(name=world.hour)


def list_of(page_size: int) -> Callable[[World], pb.ListActivitiesRequest]:
    """The newest activities."""

    def message(world: World) -> pb.ListActivitiesRequest:
        return pb.ListActivitiesRequest(parent=world.reader.user, page_size=page_size)

    return message


def streams_of(resolution: int) -> Callable[[World], pb.GetActivityStreamsRequest]:
    """All channels of the activity of 1 hour."""

    def message(world: World) -> pb.GetActivityStreamsRequest:
        return pb.GetActivityStreamsRequest(name=world.hour, resolution=resolution)

    return message


async def check_hour(world: World, samples: int) -> None:
    """Looks once at what the scenarios will ask for: the figures are of that, not of less.

    Raises:
        Refused: it is not what was uploaded.
    """
    tokens = await world.reader.sign_in()
    channel = open_channel(world.stack.target)
    try:
        stub = ActivityServiceStub(channel)
        streams = await stub.GetActivityStreams(
            streams_of(0)(world), metadata=tokens.metadata, timeout=TIMEOUT_S
        )
        listed = await stub.ListActivities(
            list_of(50)(world), metadata=tokens.metadata, timeout=TIMEOUT_S
        )
    finally:
        await channel.close(None)
    found = {each.channel: len(each.values) // 8 for each in streams.columns}
    if list(found.values()) != [samples] * 8 or len(listed.activities) != 50:
        raise Refused(f"the history is {found}, {len(listed.activities)} listed")
