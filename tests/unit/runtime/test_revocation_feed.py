"""How a process comes to know what is revoked: soon while it knows nothing, patiently later."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any, cast

import grpc
import pytest

from mesh.runtime import revocation_feed
from mesh.runtime.channel import MeshChannel
from mesh.runtime.revocations import Revocations
from palestra.identity.v1 import revocation_service_pb2 as pb

AWAY = grpc.aio.AioRpcError(
    grpc.StatusCode.UNAVAILABLE, grpc.aio.Metadata(), grpc.aio.Metadata(), "away", ""
)
EVERYTHING = pb.WatchRevocationsResponse(complete=True)


class Identity:
    """Answers each stream as it is told to; afterwards it is away."""

    def __init__(self, *streams: Any) -> None:
        self._streams = iter(streams)
        self._said: Iterator[Any] = iter(())

    def for_stubs(self) -> Identity:
        return self

    def unary_stream(self, *_: Any, **__: Any) -> Any:
        return self

    def unary_unary(self, *_: Any, **__: Any) -> Any:
        return self

    def __call__(self, _: Any) -> Identity:
        self._said = iter(next(self._streams, ()))
        return self

    async def read(self) -> Any:
        said = next(self._said, AWAY)
        if isinstance(said, Exception):
            raise said
        return said

    def cancel(self) -> None:
        self._said = iter(())


async def pauses(
    identity: Identity, own: Revocations, count: int, monkeypatch: pytest.MonkeyPatch
) -> list[float]:
    """How long it waits between its first streams, in s."""
    found: list[float] = []

    async def slept(wait_s: float) -> None:
        found.append(wait_s)
        if len(found) == count:
            raise EOFError

    monkeypatch.setattr(asyncio, "sleep", slept)
    with pytest.raises(EOFError):
        await revocation_feed.from_mesh(cast("MeshChannel", identity), own)()
    return found


async def test_until_it_knows_anything_it_asks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    own = Revocations()
    found = await pauses(Identity(), own, 30, monkeypatch)
    assert not own.is_known
    assert max(found) <= revocation_feed.UNKNOWN_AGAIN_AFTER_S
    # Not all processes of a mesh at the same instant.
    assert len(set(found)) > 1


async def test_what_it_knows_serves_and_it_asks_less_and_less_often(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    own = Revocations()
    found = await pauses(Identity((), (EVERYTHING,)), own, 12, monkeypatch)
    assert own.is_known
    assert found[0] <= revocation_feed.UNKNOWN_AGAIN_AFTER_S
    most = revocation_feed.MOST_AGAIN_AFTER_S
    assert all(most / 2 <= each <= most for each in found[-5:])


async def test_after_each_answer_it_begins_to_ask_soon_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    heard = (EVERYTHING, grpc.aio.EOF)  # type: ignore[attr-defined]
    own = Revocations()
    found = await pauses(Identity(heard, (), (), (), heard), own, 5, monkeypatch)
    assert found[-1] <= revocation_feed.AGAIN_AFTER_S < found[-2]
