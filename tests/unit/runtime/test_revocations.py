"""What a process knows to be revoked: at once, bounded, and never less than it should."""

from __future__ import annotations

import asyncio
import time
import uuid
from dataclasses import replace

import pytest

from mesh.runtime import revocations
from mesh.runtime.calls import User
from mesh.runtime.errors import MeshError
from mesh.runtime.revocations import Revocation, Revocations
from mesh.runtime.streams import LiveStream, LiveStreams
from mesh.runtime.tokens import PublicKey, Verifier
from tests.support.made_tokens import SESSION, Signer, claims

NOW = 1_800_000_000.0
SOMEBODY = User(
    id=uuid.UUID(int=7),
    session="s1",
    scopes=frozenset(),
    roles=frozenset(),
    plan="",
    client="palestra-app",
    auth_time_s=int(NOW),
    expire_time_s=int(NOW) + 900,
    issued_at_s=int(NOW),
    generation=3,
    key_id="k1",
)


def revoked(**what: object) -> Revocation:
    return replace(Revocation(created_s=NOW, expires_s=NOW + 1000), **what)  # type: ignore[arg-type]


def known(*what: Revocation) -> Revocations:
    made = Revocations(lambda: NOW)
    made.replace(what)
    return made


@pytest.mark.parametrize(
    ("what", "refused"),
    [
        (revoked(session="s1"), True),
        (revoked(session="s2"), False),
        (revoked(user=SOMEBODY.id, first_generation=4), True),
        (revoked(user=SOMEBODY.id, first_generation=3), False),
        (revoked(user=uuid.UUID(int=8), first_generation=4), False),
        (revoked(key_id="k1"), True),
        (revoked(key_id="k2"), False),
    ],
)
def test_a_token_is_refused_for_its_session_its_generation_or_its_key(
    what: Revocation, refused: bool
) -> None:
    assert known(what).refuses(SOMEBODY) is refused


def test_an_older_generation_that_comes_late_changes_nothing() -> None:
    made = known(revoked(user=SOMEBODY.id, first_generation=4))
    made.add([revoked(user=SOMEBODY.id, first_generation=2)])
    assert made.refuses(SOMEBODY)


def test_a_whole_answer_takes_the_place_of_what_was_known() -> None:
    made = known(revoked(session="s1"))
    made.replace([revoked(session="s2")])
    assert not made.refuses(SOMEBODY)
    assert len(made) == 1


def test_listeners_hear_each_revocation_once() -> None:
    made = known(revoked(session="s1"))
    heard: list[Revocation] = []
    made.listeners.append(heard.extend)
    made.add([revoked(session="s1"), revoked(session="s2")])
    made.replace([revoked(session="s1"), revoked(session="s2"), revoked(session="s3")])
    assert [each.session for each in heard] == ["s2", "s3"]


def test_a_full_set_refuses_too_much_and_never_too_little(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(revocations, "MOST", 20)
    made = known(revoked(key_id="k9"))
    entries = [revoked(session=f"s{n}", created_s=NOW + n) for n in range(100)]
    for entry in entries:
        made.add([entry])
    assert len(made) <= 20
    for entry in entries:
        token = replace(SOMEBODY, session=entry.session, issued_at_s=int(entry.created_s))
        assert made.refuses(token)
    # Whoever signs in now is believed, though so much was dropped.
    assert not made.refuses(replace(SOMEBODY, session="new", issued_at_s=int(NOW) + 101))
    assert made.refuses(replace(SOMEBODY, key_id="k9", issued_at_s=int(NOW) + 101))


def test_what_matters_no_more_is_forgotten() -> None:
    at = [NOW]
    made = Revocations(lambda: at[0])
    made.replace([revoked(session="s1"), revoked(session="s2", expires_s=NOW + 5000)])
    at[0] += 1001
    made.heard()
    assert [each.session for each in made.everything()] == ["s2"]


async def test_the_first_calls_wait_for_the_first_answer_and_not_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(revocations, "FIRST_ANSWER_S", 0.2)
    made = Revocations()
    with pytest.raises(MeshError) as refused:
        await made.check(SOMEBODY)
    assert refused.value.reason == "UNAVAILABLE"
    waiting = asyncio.create_task(made.check(SOMEBODY))
    await asyncio.sleep(0)
    made.replace([])
    await waiting


async def test_a_token_that_was_verified_before_is_refused_at_once() -> None:
    signer, made = Signer("k1"), Revocations()
    made.replace([])

    async def keys() -> list[PublicKey]:
        return [signer.public]

    verifier = Verifier(keys, revocations=made)
    token = signer.sign(claims(uuid.UUID(int=7)))
    await verifier.verify(token)
    made.add([Revocation(time.time(), time.time() + 900, session=SESSION)])
    with pytest.raises(MeshError) as refused:
        await verifier.verify(token)
    assert refused.value.reason == "TOKEN_REVOKED"


async def test_streams_of_what_is_revoked_end_and_no_others() -> None:
    made = known()
    streams = LiveStreams(made)
    later = replace(SOMEBODY, expire_time_s=int(time.time()) + 900)
    ends: list[str] = []

    async def live(user: User) -> None:
        stream = LiveStream(streams)
        try:
            async with stream:
                stream.belongs_to(user)
                await asyncio.sleep(60)
        except TimeoutError:
            assert stream.revoked
            assert stream.over
            ends.append(user.session)

    users = [replace(later, session=f"s{n}", id=uuid.UUID(int=n)) for n in (1, 2, 3)]
    tasks = [asyncio.create_task(live(user)) for user in users]
    await asyncio.sleep(0)
    made.add([revoked(session="s1"), revoked(user=uuid.UUID(int=2), first_generation=4)])
    await asyncio.wait_for(asyncio.gather(*tasks[:2]), 5)
    assert sorted(ends) == ["s1", "s2"]
    assert not tasks[2].done()
    made.add([revoked(key_id="k1")])
    await asyncio.wait_for(tasks[2], 5)
    assert not streams._of


async def test_a_stream_follows_the_session_that_renewed_it() -> None:
    made = known()
    stream = LiveStream(LiveStreams(made))
    first = replace(SOMEBODY, expire_time_s=int(time.time()) + 900)

    async def live() -> None:
        async with stream:
            stream.belongs_to(first)
            stream.belongs_to(replace(first, session="s2"))
            made.add([revoked(session="s1")])
            await asyncio.sleep(0.05)
            made.add([revoked(session="s2")])
            with pytest.raises(MeshError):
                stream.belongs_to(replace(first, session="s3"))
            await asyncio.sleep(5)

    with pytest.raises(TimeoutError):
        await live()
    assert stream.revoked
