"""What a migration asks anew: proofs and scopes that may have been those of others."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import psycopg
import pytest

from mesh.runtime import migrate
from services.identity.oauth.flow import Step
from tests.support import first_rows
from tests.support.partners import Partners, Request
from tests.support.stores import Stores
from tests.support.told_counters import Bus

BY_TWO = frozenset({"pwd", "otp", "mfa"})


@pytest.mark.asyncio
async def test_a_second_proof_and_a_second_yes_are_asked_for_again_and_no_first_ones(
    stores: Stores,
) -> None:
    bus = Bus(stores)
    await bus.open()
    partners = Partners(bus)
    (client, _), person = await partners.app(), await partners.person()
    other = await partners.browser(await partners.person())
    at_once = await partners.sessions.open(person, amr=BY_TWO)
    later = await partners.sessions.open(person, amr=frozenset({"pwd"}))
    cookie = await partners.browser(person)
    for each in (cookie, other):
        await partners.code(client, each)
    partners.clock.go_on(timedelta(minutes=1))
    await partners.sessions.proved(person, later.session_id, BY_TWO)
    await partners.code(client, cookie)

    url = stores.database_url("identity")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("UPDATE service_version SET version_num = '0020'")
    assert await asyncio.to_thread(migrate.migrate, url, first_rows.migrations("identity"))

    proofs = {
        each.session_id: set(each.amr) for each in await partners.sessions.living(person, None, 50)
    }
    assert proofs[at_once.session_id] == BY_TWO
    assert proofs[later.session_id] == {"pwd", "otp"}
    steps = [
        (await partners.oauth.describe(Request(client).pairs, each)).step
        for each in (cookie, other)
    ]
    assert steps == [Step.CONSENT, Step.GRANTED]
    await bus.close()
