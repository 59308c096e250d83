"""What one process of identity revokes, all know, and all that listen to any of them."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from sqlalchemy import bindparam, insert

from mesh.runtime.clock import now
from mesh.runtime.errors import Unavailable
from mesh.runtime.ids import user_id, uuid7
from mesh.runtime.revocations import Revocations
from mesh.runtime.sealing import Sealer, make_key
from mesh.runtime.sql import Statement
from mesh.runtime.tasks import end
from services.identity.revocations import flow as board_flow
from services.identity.revocations.flow import Board, News
from services.identity.revocations.store import RevocationStore
from services.identity.sessions import rules
from services.identity.sessions.chains import Chains
from services.identity.sessions.flow import SessionFlow
from services.identity.sessions.store import SessionStore
from services.identity.tables.auth import ACCOUNTS
from tests.support.signing_keys import ring_of
from tests.support.told_counters import Bus

WITHIN_S = 5.0
_ACCOUNT = Statement(
    insert(ACCOUNTS).values(user_id=bindparam("user_id"), created_at=bindparam("created_at"))
)


def sessions_of(bus: Bus) -> SessionFlow:
    return SessionFlow(
        SessionStore(bus.publisher),
        ring_of(bus.publisher, now),
        frozenset({"profile.read"}),
        900,
        now,
        Chains(Sealer((make_key(),))),
    )


async def registered(bus: Bus, sessions: SessionFlow) -> uuid.UUID:
    """Somebody with one session."""
    user = user_id(7)
    await bus.publisher.run(_ACCOUNT, {"user_id": user, "created_at": now()})
    await sessions.open(user, amr=frozenset({"pwd"}))
    return user


@asynccontextmanager
async def board(bus: Bus) -> AsyncIterator[tuple[Board, Revocations]]:
    """The board of one more process, which has read all by now."""
    own = Revocations()
    made = Board(RevocationStore(bus.publisher, "identity"), own, now, asyncio.Event())
    keeping = asyncio.create_task(made.keep())
    try:
        await until(lambda: own.is_known)
        yield made, own
    finally:
        await end([keeping])


async def until(holds: Callable[[], bool]) -> float:
    begun = time.monotonic()
    while not holds():
        assert time.monotonic() - begun < WITHIN_S, "not within 5 s"
        await asyncio.sleep(0.01)
    return time.monotonic() - begun


async def _listened(heard: AsyncIterator[News], messages: int) -> None:
    for _ in range(messages):
        await anext(heard)


def ended(own: Revocations) -> set[str]:
    return {each.session for each in own.everything()}


async def test_a_session_ended_anywhere_is_known_everywhere(bus: Bus) -> None:
    sessions = sessions_of(bus)
    user = await registered(bus, sessions)
    first = await sessions.open(user, amr=frozenset({"pwd"}))
    async with board(bus) as (_, here), board(bus) as (_, there):
        assert await sessions.end(user, first.session_id, "the test says so")
        assert not await sessions.end(user, first.session_id, "the test says so")
        for own in (here, there):
            await until(lambda own=own: str(first.session_id) in ended(own))  # type: ignore[misc]


async def test_a_process_that_starts_later_knows_what_was_revoked_before(bus: Bus) -> None:
    sessions = sessions_of(bus)
    user = await registered(bus, sessions)
    kept = await sessions.open(user, amr=frozenset({"pwd"}))
    done = [await sessions.open(user, amr=frozenset({"pwd"})) for _ in range(3)]
    assert await sessions.end_all(user, "the test says so", kept.session_id) == 4
    async with board(bus) as (_, own):
        assert {str(each.session_id) for each in done} <= ended(own)
        assert str(kept.session_id) not in ended(own)


async def test_listeners_get_everything_then_news_then_signs_of_life(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(board_flow, "MOST_IN_ONE", 2)
    monkeypatch.setattr(board_flow, "HEARTBEAT_S", 0.2)
    sessions = sessions_of(bus)
    user = await registered(bus, sessions)
    for _ in range(4):
        await sessions.open(user, amr=frozenset({"pwd"}))
    await sessions.end_all(user, "the test says so")
    last = await sessions.open(user, amr=frozenset({"pwd"}))
    async with board(bus) as (made, _):
        heard = made.watch()
        beginning: list[News] = []
        while not (beginning and beginning[-1].complete):
            beginning.append(await anext(heard))
        assert sum(len(each.revocations) for each in beginning) >= 5
        assert max(len(each.revocations) for each in beginning) == 2
        assert (await anext(heard)).revocations == []
        await sessions.end(user, last.session_id, "the test says so")
        while not (news := await anext(heard)).revocations:
            pass
        assert [each.session for each in news.revocations] == [str(last.session_id)]
        await heard.aclose()


async def test_a_listener_that_does_not_keep_up_begins_anew(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(board_flow, "MOST_WAITING", 1)
    sessions = sessions_of(bus)
    user = await registered(bus, sessions)
    async with board(bus) as (made, own):
        heard = made.watch()
        while not (await anext(heard)).complete:
            pass
        for _ in range(3):
            opened = await sessions.open(user, amr=frozenset({"pwd"}))
            await sessions.end(user, opened.session_id, "the test says so")
            await until(lambda sid=str(opened.session_id): sid in ended(own))  # type: ignore[misc]
        with pytest.raises(Unavailable):
            await _listened(heard, 3)


async def test_a_board_that_cannot_read_gives_no_signs_of_life(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(board_flow, "STALE_S", 0.3)
    monkeypatch.setattr(board_flow, "HEARTBEAT_S", 0.1)
    made = Board(RevocationStore(bus.publisher, "identity"), Revocations(), now, asyncio.Event())
    with pytest.raises(Unavailable):
        await anext(made.watch())
    keeping = asyncio.create_task(made.keep())
    await until(lambda: made._own.is_known)
    heard = made.watch()
    assert (await anext(heard)) is not None
    await end([keeping])
    with pytest.raises(Unavailable):
        await _listened(heard, 20)


async def test_what_is_over_is_deleted(bus: Bus) -> None:
    sessions = sessions_of(bus)
    user = await registered(bus, sessions)
    await sessions.end_all(user, "the test says so")
    store = RevocationStore(bus.publisher, "identity")
    made = Board(store, Revocations(), now, asyncio.Event())
    await made.forget()
    before = now()
    assert await store.all(before)
    later = Board(store, Revocations(), lambda: board_flow.until(before, 901), asyncio.Event())
    await later.forget()
    assert await store.all(before) == []


async def test_one_session_too_many_ends_the_longest_idle(bus: Bus) -> None:
    sessions = sessions_of(bus)
    user = await registered(bus, sessions)
    opened = [
        await sessions.open(user, amr=frozenset({"pwd"})) for _ in range(rules.MOST_SESSIONS - 1)
    ]
    await sessions.refresh(opened[0].refresh_token)
    await sessions.open(user, amr=frozenset({"pwd"}))
    await sessions.open(user, amr=frozenset({"pwd"}))
    # The registration's own went first, then the longest unused of the others.
    with pytest.raises(rules.RefreshTokenInvalid):
        await sessions.refresh(opened[1].refresh_token)
    async with board(bus) as (_, own):
        assert str(opened[1].session_id) in ended(own)
        assert str(opened[0].session_id) not in ended(own)
        assert str(uuid7()) not in ended(own)
