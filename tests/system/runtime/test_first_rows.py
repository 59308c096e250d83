"""What the first release wrote is all there, and serves, after every migration since."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
import pytest_asyncio

from mesh.runtime import migrate
from mesh.runtime.clock import now
from services.identity.addresses.store import AddressStore
from services.identity.auth.rules import CredentialsWrong
from services.identity.auth.store import AuthStore
from services.identity.profiles.store import ProfileStore
from services.identity.sessions.rules import RefreshTokenInvalid, RefreshTokenReused
from tests.support import first_rows
from tests.support.first_rows import Registered
from tests.support.identity_people import People, Worker
from tests.support.signing_keys import ring_of
from tests.support.stores import SERVICES, Stores
from tests.support.told_counters import Bus


@dataclass(frozen=True, slots=True)
class Moved:
    """Identity of today over the rows of the first release."""

    bus: Bus
    people: list[Registered]
    worker: Worker


@pytest_asyncio.fixture
async def moved(stores: Stores, tmp_path: Path) -> AsyncIterator[Moved]:
    url = stores.database_url("identity")
    await asyncio.to_thread(first_rows.back_to_first, url, "identity", tmp_path)
    with psycopg.connect(url, autocommit=True) as connection:
        registered = first_rows.people(connection, now() - timedelta(days=1))
    bus = Bus(stores)
    await bus.open()
    yield Moved(bus, registered, People(bus, tmp_path / "mail").worker())
    await bus.close()


@pytest.mark.parametrize("service", SERVICES)
def test_no_row_of_the_first_release_is_lost_on_the_way(
    stores: Stores, tmp_path: Path, service: str
) -> None:
    url = stores.database_url(service)
    first_rows.back_to_first(url, service, tmp_path)
    with psycopg.connect(url, autocommit=True) as connection:
        if service == "identity":
            first_rows.people(connection, now())
        elif service == "integration":
            first_rows.device(connection, uuid.uuid4())
        else:
            first_rows.activity(connection, uuid.uuid4(), now())
        before = first_rows.counts(connection)
        assert sum(before.values()) > 2, "there is something to lose"
        assert migrate.migrate(url, first_rows.migrations(service)) is True
        after = first_rows.counts(connection)
    assert {table: after.get(table) for table in before} == before
    assert after.keys() >= before.keys()


def test_the_first_rows_are_of_every_service_that_keeps_any() -> None:
    assert {path.parent.name for path in Path("services").glob("*/migrations")} == set(SERVICES)


async def test_everybody_signs_in_with_his_old_password_and_no_other(moved: Moved) -> None:
    for person in moved.people:
        for typed in (person.email, person.email.upper()):
            signed_in = await moved.worker.auth.login(typed, person.password)
            assert signed_in.user_id == person.user_id
        with pytest.raises(CredentialsWrong):
            await moved.worker.auth.login(person.email, person.password + "!")


async def test_an_old_session_goes_on_and_says_how_it_was_proved(moved: Moved) -> None:
    for person in moved.people:
        signed_in = await moved.worker.sessions.refresh(person.refresh_token)
        assert signed_in.user_id == person.user_id
        again = await moved.worker.sessions.refresh(signed_in.refresh_token)
        assert again.session_id == signed_in.session_id
        (session,) = [
            each
            for each in await moved.worker.sessions.living(person.user_id, None, 50)
            if each.session_id == signed_in.session_id
        ]
        assert session.amr == ("pwd",)
        assert session.proved_at == session.created_at


async def test_what_had_ended_stays_so_and_what_was_used_is_still_a_theft(moved: Moved) -> None:
    for person in moved.people:
        with pytest.raises(RefreshTokenInvalid):
            await moved.worker.sessions.refresh(person.ended_token)
        with pytest.raises(RefreshTokenReused):
            await moved.worker.sessions.refresh(person.used_token)
        with pytest.raises(RefreshTokenInvalid):
            await moved.worker.sessions.refresh(person.refresh_token)


async def test_profiles_are_as_they_were_and_what_nobody_else_saw_stays_so(moved: Moved) -> None:
    store = ProfileStore(moved.bus.publisher)
    for person in moved.people:
        profile = await store.profile(person.user_id)
        assert profile is not None
        assert (profile.display_name, profile.bio) == (person.display_name, person.bio)
        assert profile.version == (2 if person.bio else 1)


async def test_an_old_address_is_the_primary_one_unproved_and_can_be_proved(moved: Moved) -> None:
    store = AddressStore(moved.bus.publisher)
    for person in moved.people:
        (address,) = await store.all(person.user_id)
        assert (address.channel, address.address) == ("email", person.email)
        assert (address.state, address.is_primary) == ("claimed", True)
        assert address.verified_at is None
    found = await AuthStore(moved.bus.publisher).found(moved.people[0].email.casefold())
    assert found is not None


async def test_the_first_key_still_signs(moved: Moved) -> None:
    ring = ring_of(moved.bus.publisher, now)
    assert [key.key_id for key in await ring.published()] == ["first"]
    assert (await ring.signer(now())).kid == "first"
