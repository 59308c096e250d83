"""Who and what the scenarios are about: athletes of a fresh stack, one with a history.

Owns the preparation, which is not measured.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from palestra_client import open_channel
from tests.load.http1 import Answer, Connection, request
from tests.load.session import Refused, load_session, recording
from tests.support.whole_stack import WholeStack

ACTIVITIES = 60
HOUR_S = 3600
USUAL_S = 900
_AT_ONCE = 4
_DAY_MS = 86_400_000
_PATIENCE_S = 10.0


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a login gives."""

    access: str
    refresh: str

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """For gRPC."""
        return (("authorization", f"Bearer {self.access}"),)


@dataclass(slots=True)
class Person:
    """Somebody with a password."""

    stack: WholeStack
    email: str
    password: str
    user: str = ""
    """`users/{user}`."""

    def credentials(self) -> dict[str, Any]:
        """What a login takes."""
        return {"email": self.email, "password": self.password}

    async def sign_in(self) -> Tokens:
        """Fresh tokens: a run may last longer than one does."""
        told = (await ask(self.stack, "POST", "/v1/auth:login", body=self.credentials())).json()
        return Tokens(told["accessToken"], told["refreshToken"])


@dataclass(frozen=True, slots=True)
class World:
    """What the scenarios find."""

    stack: WholeStack
    reader: Person
    """Has `ACTIVITIES` activities."""
    writer: Person
    """Has none; live sessions are this one's."""
    hour: str
    """The reader's activity of 1 hour, 8 channels, 1 Hz."""
    beside: Mapping[str, Sequence[int]] = field(default_factory=dict)
    """Processes that are measured and are none of the stack's, by what they are."""
    peers: Mapping[str, int] = field(default_factory=dict)
    """The ports of what people would write instead, by form."""


async def ask(
    stack: WholeStack,
    method: str,
    path: str,
    *,
    token: str = "",
    body: dict[str, Any] | None = None,
) -> Answer:
    """One request that has to be answered well.

    Raises:
        Refused: it was not.
    """
    connection = await Connection.open("127.0.0.1", stack.port)
    try:
        answer = await connection.ask(
            request(method, path, host=stack.target, token=token, body=body)
        )
    finally:
        connection.close()
    if answer.status != 200:
        raise Refused(f"{method} {path}: {answer.status} {answer.body[:300]!r}")
    return answer


async def register(stack: WholeStack) -> Person:
    """Somebody new, whose token the edge takes."""
    email = f"{secrets.token_hex(8)}@example.com"
    person = Person(stack, email, secrets.token_urlsafe(12))
    body = person.credentials() | {"displayName": "Vera"}
    told = (await ask(stack, "POST", "/v1/auth:register", body=body)).json()
    person.user = told["user"]
    until = time.monotonic() + _PATIENCE_S
    while True:
        try:
            await ask(stack, "GET", "/v1/users/me", token=told["accessToken"])
        except Refused:
            # The edge hears of a new stack's keys within moments.
            if time.monotonic() > until:
                raise
            await asyncio.sleep(0.1)
        else:
            return person


async def prepare(stack: WholeStack) -> World:
    """Signs up the athletes and uploads the reader's history, a workout a day.

    Raises:
        Refused: something was not taken.
    """
    reader, writer = await register(stack), await register(stack)
    tokens = await reader.sign_in()
    shared = {"defaultActivityAudience": "AUDIENCE_EVERYONE"}
    settings = "/v1/users/me/settings"
    await ask(stack, "PATCH", settings, token=tokens.access, body=shared)
    channel = open_channel(stack.target)
    at_once = asyncio.Semaphore(_AT_ONCE)
    now_ms = time.time_ns() // 1_000_000

    async def upload(number: int, duration_s: int) -> str:
        async with at_once:
            made = await asyncio.to_thread(
                recording, duration_s, number, now_ms - (ACTIVITIES - number) * _DAY_MS
            )
            async with load_session(channel, tokens.metadata, made) as session:
                return await session.upload()

    try:
        # The hour is the oldest, so that no list of 50 holds it.
        hour, *_ = await asyncio.gather(
            upload(0, HOUR_S), *(upload(number, USUAL_S) for number in range(1, ACTIVITIES))
        )
    finally:
        await channel.close(None)
    return World(stack, reader, writer, hour)
